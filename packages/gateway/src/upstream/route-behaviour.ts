/** How calls on a route behave: what its model says, else its upstream, else the limits of the gateway. */
import type { BehaviourConfig } from '../config/behaviour-schema.ts'
import type { Config } from '../config/schema.ts'

/** One for each route, made at the start. */
export type RouteBehaviour = {
  /** Attempts at this upstream, the first included. */
  readonly attempts: number
  readonly maxDelayMs: number
  readonly firstByteTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly totalTimeoutMs: number
  /** How long the upstream is read on for a caller who has left; 0: not at all. */
  readonly drainMs: number
}

/** The behaviour of a route. */
export function createRouteBehaviour(
  { limits }: Pick<Config, 'limits'>,
  upstream: BehaviourConfig,
  model: BehaviourConfig = {},
): RouteBehaviour {
  const retry = model.retry ?? upstream.retry
  const timeouts = { ...upstream.timeouts, ...model.timeouts }
  const onDisconnect = model.onDisconnect ?? upstream.onDisconnect ?? 'abort'
  return {
    attempts: retry?.attempts ?? 1,
    maxDelayMs: retry?.maxDelayMs ?? 0,
    firstByteTimeoutMs: timeouts.firstByteMs ?? limits.firstByteTimeoutMs,
    idleTimeoutMs: timeouts.idleMs ?? limits.idleTimeoutMs,
    totalTimeoutMs: timeouts.totalMs ?? limits.totalTimeoutMs,
    drainMs: onDisconnect === 'abort' ? 0 : onDisconnect.drain.maxMs,
  }
}
