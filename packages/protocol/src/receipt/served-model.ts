/** Whether the model that a provider says it served is the one that was asked for (spec/receipt.md RC4.10). */

/** How the name that was served stands to another one: the very name, a version of it, or anything else. */
export type NameMatch = 'same' | 'snapshot' | 'other'

/** The three names of a call. `sent` is what the upstream was asked for. */
export type ModelNames = {
  readonly requested: string
  readonly sent: string
  readonly served: string
}

/** `renamed`: served is what was sent, but the gateway sent another name than the caller's. */
export type ServedAs = NameMatch | 'renamed'

// What providers put behind a name: -2025-08-07, -20250929, @20250929, :20230824-v2, -001.
const version = /^(?:[-@:][0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:-v[0-9]{1,2})?|-[0-9]{3,4})$/
const latest = '-latest'
const pathPrefix = 'models/'

/**
 * Judges the three names of a call.
 *
 * @example judgeServedModel({ requested: 'gpt-4o', sent: 'gpt-4o', served: 'gpt-4o-2024-08-06' }) // 'snapshot'
 */
export function judgeServedModel({ requested, sent, served }: ModelNames): ServedAs {
  const asRequested = matchModelName(requested, served)
  if (asRequested !== 'other') return asRequested
  return matchModelName(sent, served) === 'other' ? 'other' : 'renamed'
}

/** Compares a name with the one that was served. */
export function matchModelName(name: string, served: string): NameMatch {
  const asked = stripPath(name)
  const answered = stripPath(served)
  if (answered === asked) return 'same'
  const stem = asked.endsWith(latest) ? asked.slice(0, -latest.length) : asked
  if (!answered.startsWith(stem)) return 'other'
  const rest = answered.slice(stem.length)
  // Only of a "-latest" can nothing be left.
  return rest === '' || version.test(rest) ? 'snapshot' : 'other'
}

/** Google names models by a path. */
function stripPath(name: string): string {
  return name.startsWith(pathPrefix) ? name.slice(pathPrefix.length) : name
}
