/** Calls the upstream and relays its answer, whatever end that comes to. */
import type { AdmittedPayment } from '../payment/admission.ts'
import { createReferenceRecorder } from '../references/record-references.ts'
import type { ExchangeRecord } from './exchange.ts'
import type { SentCall } from './forward-request.ts'
import type { Gateway } from './gateway.ts'
import type { Call } from './open-call.ts'
import { recordUnanswered } from './record-exchange.ts'
import { relayStream } from './relay-stream.ts'
import { relayWhole } from './relay-whole.ts'
import { closeExchange, createRunning, isEventStream, start } from './running-exchange.ts'

/**
 * Runs one exchange to its end, whatever that is: upstream failures, time-outs and a caller who leaves are records.
 *
 * @throws CallRefused when the payment does not settle; the upstream is aborted then and nothing was returned.
 */
export async function exchangeWithUpstream(
  gateway: Gateway,
  call: Call,
  sent: SentCall,
  payment: AdmittedPayment,
): Promise<ExchangeRecord> {
  const running = createRunning(gateway, call, sent)
  call.onStop(() => {
    running.end({ kind: 'out-of-time', error: 'shutdown' })
  })
  try {
    start(running)
    const head = await Promise.race([running.head, running.ended])
    if (head.kind !== 'head') return recordUnanswered(running, head)
    const { meter } = sent.chosen
    const references = createReferenceRecorder(gateway, call, sent, payment.payer)
    return meter !== undefined && isEventStream(head)
      ? await relayStream(running, head, payment, meter, references)
      : await relayWhole(running, head, payment, references)
  } finally {
    closeExchange(running)
  }
}
