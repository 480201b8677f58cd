/** The moment from which bytes may leave. */
import type { Release } from '../payment/admission.ts'
import { CallRefused } from './call-refused.ts'
import type { Running } from './running-exchange.ts'

/**
 * Waits for the payment; a caller who leaves meanwhile ends the wait.
 *
 * @throws CallRefused when the payment does not settle.
 */
export async function releaseOr(
  running: Running,
  released: Promise<Release> | undefined,
): Promise<{ readonly headers: Readonly<Record<string, string>> } | 'gone'> {
  const release = await released
  if (release === undefined) return { headers: {} }
  if (release.kind === 'refused') throw new CallRefused(release.refusal)
  return running.call.isGone() ? 'gone' : release
}
