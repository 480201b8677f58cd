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
import {
  closeExchange,
  createRunning,
  isEventStream,
  openExchange,
  type Head,
  type Running,
} from './running-exchange.ts'
import { tryUpstreams } from './try-upstreams.ts'

/** An exchange that is over, and the call as it went to the upstream that served it. */
export type ServedExchange = { readonly sent: SentCall; readonly exchange: ExchangeRecord }

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
): Promise<ServedExchange> {
  const running = createRunning(gateway, call, sent)
  openExchange(running)
  try {
    const head = await tryUpstreams(running)
    const exchange =
      head.kind === 'head'
        ? await relayAnswer(running, head, payment)
        : recordUnanswered(running, head)
    return { sent: running.sent, exchange }
  } finally {
    closeExchange(running)
  }
}

function relayAnswer(
  running: Running,
  head: Head,
  payment: AdmittedPayment,
): Promise<ExchangeRecord> {
  const { gateway, call, sent } = running
  const { meter } = sent.chosen
  const references = createReferenceRecorder(gateway, call, sent, payment.payer)
  return meter !== undefined && isEventStream(head)
    ? relayStream(running, head, payment, meter, references)
    : relayWhole(running, head, payment, references)
}
