/** What a stream is worth so far, told to its payment now and then: a crash charges that (spec/payment.md PA20.4). */
import { withoutOutput } from '../metering/bound-price.ts'
import { chargeUsage } from '../metering/settle-usage.ts'
import type { AdmittedPayment } from '../payment/admission.ts'
import type { Bill } from './bill.ts'
import type { StreamRecorder } from './exchange.ts'

/** Between two looks at what a provider counted. */
const everyMs = 1000

/**
 * A function to call after each piece of a stream. Only what the provider itself has counted is proven; of a beginning
 * of the output nothing.
 */
export function createProgressProof(
  { metered }: AdmittedPayment,
  { authorisation }: Bill,
  recorder: StreamRecorder,
): () => void {
  if (metered === null || authorisation === undefined) return () => undefined
  let nextMs = 0
  return () => {
    const nowMs = performance.now()
    if (nowMs < nextMs) return
    nextMs = nowMs + everyMs
    const { usage } = recorder.observation()
    if (usage.kind === 'none') return
    const counts = usage.kind === 'exact' ? usage.counts : withoutOutput(usage.counts)
    metered.progress(chargeUsage(authorisation, { source: 'provider', counts }).amountAtomic)
  }
}
