/** Whether the model that a provider says it served is the one that it was asked for (spec/metering.md ME7.3). */

/**
 * `same`: the very name. `snapshot`: a dated or numbered version of that name. `other`: anything else, to be shown as a
 * mismatch. `unsaid`: the provider named none.
 */
export type ServedAs = 'same' | 'snapshot' | 'other' | 'unsaid'

// What providers put behind a name: -2025-08-07, -20250929, @20250929, :20230824-v2, -001.
const version = /^(?:[-@:][0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:-v[0-9]{1,2})?|-[0-9]{3,4})$/

/** Compares what was sent with what was served. */
export function compareServedModel(sent: string, served: string | null): ServedAs {
  if (served === null) return 'unsaid'
  const asked = stripPath(sent)
  const answered = stripPath(served)
  if (answered === asked) return 'same'
  const stem = asked.endsWith('-latest') ? asked.slice(0, -'-latest'.length) : asked
  return answered.startsWith(stem) && version.test(answered.slice(stem.length))
    ? 'snapshot'
    : 'other'
}

/** Google names models by a path. */
function stripPath(name: string): string {
  return name.startsWith('models/') ? name.slice('models/'.length) : name
}
