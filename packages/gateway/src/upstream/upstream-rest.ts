/** An upstream that failed is asked last for a while, where its model has other routes. */

/** Owner of the end of the rest. */
export type UpstreamRest = {
  /** An attempt failed, and another route took over. */
  failed(nowMs: number): void
  isResting(nowMs: number): boolean
}

/** Rests of this length; 0: none. */
export function createUpstreamRest(restMs: number): UpstreamRest {
  let untilMs = -Infinity
  return {
    failed: (nowMs) => {
      if (restMs > 0) untilMs = nowMs + restMs
    },
    // A clock that was set back must not make it longer than it may be.
    isResting: (nowMs) => nowMs < untilMs && nowMs >= untilMs - restMs,
  }
}

/** The same routes; those that rest stand last, each part in its order. Nothing is left out: all of them may rest. */
export function putRestingLast<T extends { readonly upstream: { readonly rest: UpstreamRest } }>(
  routes: readonly T[],
  nowMs: number,
): readonly T[] {
  const resting = routes.filter(({ upstream }) => upstream.rest.isResting(nowMs))
  if (resting.length === 0) return routes
  return [...routes.filter((route) => !resting.includes(route)), ...resting]
}
