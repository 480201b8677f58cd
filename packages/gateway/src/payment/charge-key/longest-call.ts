/** How long a call can take by a configuration: its charge may have to be signed so long after it began. */
import type { Config } from '../../config/schema.ts'

/** The longest of all time limits of whole calls. */
export function longestCallMs({ limits, upstreams, models }: Config): number {
  const own = [...upstreams, ...models].map(({ timeouts }) => timeouts?.totalMs ?? 0)
  return Math.max(limits.totalTimeoutMs, ...own)
}
