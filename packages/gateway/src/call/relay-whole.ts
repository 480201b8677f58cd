/** Relays an answer that is no stream: it is collected and judged, and leaves with its receipt. */
import type { GatewayErrorCode } from '../errors.ts'
import type { AdmittedPayment } from '../payment/admission.ts'
import { openGradientTransform, signWhole } from '../profiles/open-gradient-answer.ts'
import type { ReferenceRecorder } from '../references/record-references.ts'
import { AnswerNotTranslatable } from '../translation/answer-part.ts'
import { errorHeaders, identityHeaders } from './deliver.ts'
import { abortedByClient } from './ending.ts'
import { recordBody, type ExchangeRecord } from './exchange.ts'
import { judgeWholeAnswer, type ExpectedAnswer, type JudgedAnswer } from './judge-answer.ts'
import { commonRecord, gatewayError, recordDrain, recordUnanswered } from './record-exchange.ts'
import { judgeRelease } from './release-payment.ts'
import type { Head, Running } from './running-exchange.ts'

/** Collects the answer while its payment settles. */
export async function relayWhole(
  running: Running,
  head: Head,
  payment: AdmittedPayment,
  references: ReferenceRecorder | undefined,
): Promise<ExchangeRecord> {
  const isUsable = head.status === 200
  // Settlement is awaited while the body arrives.
  const releasing = isUsable ? payment.release() : undefined
  const ending = await running.attempt.ended
  // The reservation is ended only after its release has been decided.
  const released = await releasing
  if (ending.kind !== 'upstream-ended') return recordUnanswered(running, ending, head)
  const body = running.attempt.collected.bytes()
  const judged = judgeWholeAnswer(head.status, head.headers, body, expectedOf(running))
  const common = {
    ...commonRecord(running, head, recordBody(body, running.gateway.config.receipts.enabled)),
    drain: recordDrain(running, ending, judged.state === 'complete'),
    state: judged.state,
    error: judged.error,
    observation: judged.observation,
    observedBody: body,
  }
  if (judged.code !== undefined) return { ...common, answer: gatewayError(running, judged.code) }
  if (running.hasLeft && judged.state !== 'complete') return { ...common, answer: { kind: 'gone' } }
  const translated = isTranslated(running)
    ? await translateAnswer(running, head, body, judged)
    : undefined
  if (translated?.kind === 'failed') return { ...common, ...translated.record }
  const release = judgeRelease(running, released)
  if (release === 'gone') return { ...common, ...abortedByClient, answer: { kind: 'gone' } }
  const form = translated === undefined ? {} : errorHeaders
  const headers = { ...identityHeaders(head.headers), ...form, ...release.headers }
  if (judged.state === 'complete') references?.inBody(body)
  const answer = translated ?? signAnswer(running, body, judged)
  return {
    ...common,
    ...(translated === undefined ? {} : { replayBody: body }),
    answer: { ...answer, kind: 'whole', status: head.status, headers },
  }
}

function expectedOf({ sent: { chosen, request } }: Running): ExpectedAnswer {
  const [, credential] = chosen.route.upstream.credential ?? []
  const secret = credential?.replace(/^Bearer /, '')
  return { meter: chosen.meter, form: request.route.answer, secret }
}

/** The provider's own bytes, with OpenGradient's members added where they were asked for. */
function signAnswer(
  { sent: { signing } }: Running,
  body: Buffer,
  { state }: JudgedAnswer,
): { readonly body: Buffer; readonly transform: string } {
  const signed =
    signing !== undefined && state === 'complete' ? signWhole(signing, body) : undefined
  if (signed === undefined) return { body, transform: 'identity' }
  return { body: signed, transform: openGradientTransform }
}

type TranslatedAnswer =
  | { readonly kind: 'translated'; readonly body: Buffer; readonly transform: string }
  | {
      readonly kind: 'failed'
      readonly record: Pick<ExchangeRecord, 'state' | 'error' | 'answer' | 'replayBody'>
    }

function isTranslated({ sent, hasLeft }: Running): boolean {
  return sent.forwarded.translation !== undefined && !hasLeft
}

/** The answer on the caller's wire; `undefined` where that is the provider's, or nobody is there to have it. */
async function translateAnswer(
  running: Running,
  { status }: Head,
  body: Buffer,
  { state, error }: JudgedAnswer,
): Promise<TranslatedAnswer | undefined> {
  const { translation, transform } = running.sent.forwarded
  if (translation === undefined || running.hasLeft) return undefined
  const fail = (code: GatewayErrorCode, cause: string | null, detail = ''): TranslatedAnswer => {
    const answer = gatewayError(running, code, detail)
    return {
      kind: 'failed',
      record: { state: 'upstream-error', error: cause, answer, replayBody: body },
    }
  }
  if (status >= 400) return { kind: 'translated', body: translation.error(status, body), transform }
  // On the caller's wire a body of status 200 is an answer.
  if (state !== 'complete') return fail('upstream-failed', error)
  if (translation.isStream) return fail('upstream-failed', 'answer-malformed')
  try {
    return { kind: 'translated', body: await translation.whole(body), transform }
  } catch (fault) {
    if (!(fault instanceof AnswerNotTranslatable)) throw fault
    return fail(
      'answer-not-translatable',
      'answer-not-translatable',
      `It is refused: ${fault.message}.`,
    )
  }
}
