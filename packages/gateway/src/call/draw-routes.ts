/** The order in which the routes of a model are tried: by lot, each by its weight. */
import type { RandomBytes } from '../keys/random-pool.ts'

type Weighted = { readonly weight: number }

/** All of the routes; those of weight 0 stand last, in the order of the configuration. */
export function drawRoutes<T extends Weighted>(
  routes: readonly T[],
  random: RandomBytes,
): readonly T[] {
  const drawn: T[] = []
  let left = routes.filter(({ weight }) => weight > 0)
  while (left.length > 0) {
    const next = left.length === 1 ? left[0] : drawOne(left, random)
    if (next === undefined) break
    drawn.push(next)
    left = left.filter((route) => route !== next)
  }
  return [...drawn, ...routes.filter(({ weight }) => weight === 0)]
}

function drawOne<T extends Weighted>(routes: readonly T[], random: RandomBytes): T | undefined {
  const total = routes.reduce((sum, { weight }) => sum + weight, 0)
  let lot = (Buffer.from(random(4)).readUInt32LE() / 2 ** 32) * total
  return routes.find(({ weight }) => (lot -= weight) < 0) ?? routes.at(-1)
}
