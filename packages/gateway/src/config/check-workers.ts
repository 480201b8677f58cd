/** What several processes can serve, and what of the limits each of them has. */
import type { Config } from './schema.ts'

/** What keeps this configuration from being served by its number of workers, in words; `undefined` when nothing does. */
export function findWorkersFault(config: Config): string | undefined {
  const { workers, limits, upstreams } = config
  if (workers === 1) return undefined
  if (Math.floor(limits.maxHeldRequestBytes / workers) < limits.maxRequestBytes) {
    return 'limits.maxHeldRequestBytes must be at least workers times limits.maxRequestBytes'
  }
  if (limits.maxCalls < workers) return 'limits.maxCalls must be at least workers'
  const narrow = upstreams.find(({ connections }) => connections < workers)
  return narrow === undefined
    ? undefined
    : `upstream ${narrow.name}: connections must be at least workers`
}

/** The configuration of one worker: all together have what it allows. `slot` is 0 for the first. */
export function shareConfig(config: Config, slot: number): Config {
  const { workers, limits, upstreams } = config
  const share = (whole: number): number =>
    Math.floor(whole / workers) + (slot < whole % workers ? 1 : 0)
  return {
    ...config,
    limits: {
      ...limits,
      maxCalls: share(limits.maxCalls),
      maxHeldRequestBytes: share(limits.maxHeldRequestBytes),
    },
    upstreams: upstreams.map((upstream) => ({
      ...upstream,
      connections: share(upstream.connections),
    })),
  }
}
