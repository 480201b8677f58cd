/** Which queries pass: a row of the table names them whole, and credentials never do. */
import type { WireRoute } from '../http/wire-routes.ts'
import { refuse } from './call-refused.ts'
import type { Call } from './open-call.ts'

const credential = /(?:^|&)(?:key|api[-_]?key|access_token|token)=/i

/**
 * Refused rather than dropped: what a query asks for would not happen, and a payment is for the path alone.
 *
 * @throws CallRefused `credential-in-query`, `request-malformed`.
 */
export function checkQuery({ request: { url = '' }, path }: Call, { query }: WireRoute): void {
  if (url.length === path.length) return
  const text = url.slice(path.length + 1)
  if (credential.test(text)) throw refuse('credential-in-query')
  if (query?.test(text) === true) return
  throw refuse(
    'request-malformed',
    query === null ? 'This path takes no query.' : 'This path does not take this query.',
  )
}
