/** The moment from which bytes may leave. */
import type { Release } from '../payment/admission.ts'
import { CallRefused } from './call-refused.ts'
import type { Running } from './running-exchange.ts'

/** Bytes may leave, with these headers of the payment; or their caller has left while it was waited for. */
export type Leave = { readonly headers: Readonly<Record<string, string>> } | 'gone'

const unpaid: Leave = { headers: {} }

/**
 * What the release of a payment says.
 *
 * @param release - `undefined` for an answer that waits for none.
 * @throws CallRefused when the payment does not settle.
 */
export function judgeRelease(running: Running, release: Release | undefined): Leave {
  if (release === undefined) return unpaid
  if (release.kind === 'refused') throw new CallRefused(release.refusal)
  return running.call.isGone() ? 'gone' : release
}
