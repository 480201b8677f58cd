/** The way of one call. The steps are the clauses of spec/receipt.md and spec/payment.md, in their order. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { describeGatewayError } from '../errors.ts'
import { refusalOfPath } from '../http/paths.ts'
import { findWireRoute } from '../http/wire-routes.ts'
import { isMetered } from '../metering/price-sheet.ts'
import type {
  Admission,
  AdmissionRequest,
  AdmittedPayment,
  CallResult,
} from '../payment/admission.ts'
import { freePayment } from '../payment/none.ts'
import { prepareSigning } from '../profiles/sign-answer.ts'
import { requireKnown, requireOwn } from '../references/check-references.ts'
import { isRepeatable } from './answer-cache.ts'
import { createBill, judgeUse, settleBill, type Bill, type SettledBill } from './bill.ts'
import { createBodyCollector } from './body-collector.ts'
import { parseCallRequest, type CallRequest } from './call-request.ts'
import { CallRefused, createErrorBody, refuse } from './call-refused.ts'
import { chooseRoute, type ChosenRoute } from './choose-route.ts'
import { deliverAnswer, refusalHeaders, sendWhole } from './deliver.ts'
import type { ExchangeRecord } from './exchange.ts'
import { exchangeWithUpstream, type ServedExchange } from './exchange-with-upstream.ts'
import { forwardRequest, mayRewrite, type ForwardedRequest } from './forward-request.ts'
import type { Gateway } from './gateway.ts'
import { draftReceipt, issueReceipt, issueRefusal, type ReceiptDraft } from './issue-receipt.ts'
import type { IssuedReceipt } from './issued-receipt.ts'
import { observeEndedCall, observeRefusedCall } from './observe-call.ts'
import { openCall, readNonce, type Call } from './open-call.ts'
import { readBody, type BodySoFar } from './read-body.ts'
import { checkQuery } from './check-query.ts'
import { forwardTranslated } from './translate-call.ts'

const admittedFreely = { kind: 'admitted', payment: freePayment } as const

/** How long a repeated call waits for the receipt of the first. */
const maxReceiptMs = 10_000

/** Handles one call from its head to its statement. Never rejects. */
export async function handleCall(
  gateway: Gateway,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): Promise<void> {
  const call = openCall(request, response, path, gateway.nowMs(), gateway.random)
  const received: BodySoFar = { collector: createBodyCollector(), sizeBytes: 0 }
  const entry = gateway.pending.begin(call)
  try {
    const served = await serveCall(gateway, call, received)
    if (served !== 'replayed') await concludeCall(gateway, call, served)
  } catch (error) {
    await answerRefusal(gateway, call, received, error)
  } finally {
    gateway.payerLimits.leave(call.id)
    gateway.requestMemory.give(received.collector.bytes().length)
    gateway.pending.end(entry)
  }
}

/** A call whose exchange is over and whose reservation is not. */
type ServedCall = ServedExchange & {
  readonly payment: AdmittedPayment
  readonly result: Metered
}

/** `faulty`: a stream was delivered, and what it cost or what its receipt says could not be worked out. */
type Metered =
  | {
      readonly kind: 'settled'
      readonly settled: SettledBill
      readonly draft: ReceiptDraft | undefined
    }
  | { readonly kind: 'faulty'; readonly fault: unknown }

/** All that can end in a refusal: whatever is thrown here, nothing was returned and nothing is charged. */
async function serveCall(
  gateway: Gateway,
  call: Call,
  received: BodySoFar,
): Promise<ServedCall | 'replayed'> {
  const request = await receiveRequest(gateway, call, received)
  const nonce = acceptHead(call, request)
  // What cannot be signed at its end is refused at its beginning, before anything is paid.
  const keyset = gateway.config.receipts.enabled ? readyKeyset(gateway) : undefined
  if (keyset !== undefined) await keyset
  const chosen = await chooseRoute(gateway, call, request)
  requireKnown(gateway.references, request.references)
  const signing = prepareSigning(gateway, call, request, chosen.adapter !== undefined)
  const forwarded = await forward(gateway, call, request, chosen, signing !== undefined)
  const bill = createBill(chosen, request, forwarded)
  const admission = chosen.isOwn
    ? admittedFreely
    : await gateway.payment.admit(offerOf(gateway, call, request, bill))
  if (admission.kind !== 'admitted') {
    await replayCall(gateway, call, admission)
    return 'replayed'
  }
  const { payment } = admission
  try {
    const { headers } = call.request
    requireOwn(gateway.references, request.references, chosen.route.upstream.name, {
      owner: payment.payer,
      headers,
    })
    // Who left while the payment was judged was not served: nothing goes upstream.
    if (call.isGone()) throw refuse('client-gone')
    const sent = { request, forwarded, chosen, bill: fixBill(bill, payment), signing }
    const served = await exchangeWithUpstream(gateway, call, sent, payment)
    await gateway.turns.end()
    const result = await settleCall(gateway, call, nonce, served)
    return { ...served, payment, result }
  } catch (error) {
    await payment.complete(call.response.headersSent ? 'cut' : 'unused')
    throw error
  }
}

/** A credit of a call that cost a fixed price pays for it in full, also where use is metered by now (PA8.6). */
function fixBill(bill: Bill, { fixedAtomic }: AdmittedPayment): Bill {
  if (fixedAtomic === undefined) return bill
  return { priceAtomic: fixedAtomic, authorisation: undefined, rates: undefined }
}

async function settleCall(
  gateway: Gateway,
  call: Call,
  nonce: Uint8Array | undefined,
  { sent, exchange }: ServedExchange,
): Promise<Metered> {
  try {
    const settled = await settleBill(gateway, sent.bill, sent, exchange)
    const draft = gateway.config.receipts.enabled
      ? draftReceipt(gateway, call, nonce, { ...sent, settled, exchange })
      : undefined
    return { kind: 'settled', settled, draft }
  } catch (fault) {
    // A whole answer waits for its receipt and can still be refused; a stream has left and is paid for.
    if (exchange.answer.kind !== 'streamed') throw fault
    return { kind: 'faulty', fault }
  }
}

/** Ends the payment and signs. A fault here signs nothing: a refusal would say that nothing was charged. */
async function concludeCall(gateway: Gateway, call: Call, served: ServedCall): Promise<void> {
  const { sent, exchange, payment, result } = served
  const use = judgeUse(exchange, sent.bill)
  try {
    if (result.kind === 'faulty') {
      // What cannot be metered is not charged to who pays by the meter.
      const isByUse = payment.metered !== null || sent.bill.authorisation !== undefined
      await payment.complete(isByUse ? 'cut' : use)
      throw result.fault
    }
    const { settled, draft } = result
    const charge = await payment.complete(use, settled.usedAtomic)
    const { metered } = payment
    const paid = metered?.headers() ?? {}
    const receipt =
      draft === undefined
        ? undefined
        : await issueReceipt(gateway, call, draft, charge, () => {
            metered?.receiptStored()
          })
    if (draft === undefined) metered?.receiptStored()
    // Whoever has the answer may ask for them at once, and another worker.
    keepUpstreamAnswer(gateway, call, exchange, use)
    deliverAnswer(call, exchange.answer, receipt, paid)
    keepAnswer(gateway, call, exchange, receipt, paid)
    observeEndedCall(gateway, call, { ...sent, settled, exchange }, charge)
  } catch (error) {
    gateway.log.error({ err: error, receiptId: call.idHex }, 'a call failed after its payment')
    observeRefusedCall(gateway, call, 'receipt-failed')
    answerUnsigned(call)
  }
}

/** Nothing is translated unless the configuration says so of the model. */
function forward(
  { translator }: Gateway,
  call: Call,
  request: CallRequest,
  { route, adapter }: ChosenRoute,
  isSigned: boolean,
): ForwardedRequest | Promise<ForwardedRequest> {
  if (adapter === undefined) return forwardRequest(call, request, route, isSigned)
  // Whatever the configuration says: what is not translated is not sent on as it is.
  if (translator === undefined) throw refuse('model-not-found')
  if (!mayRewrite(call)) throw refuse('request-malformed', 'This model takes a translation.')
  const { upstreamModel } = route
  return forwardTranslated(call, request, { translator, adapter, upstreamModel })
}

function acceptHead(call: Call, { route }: CallRequest): Uint8Array | undefined {
  checkQuery(call, route)
  const nonce = readNonce(call.request)
  if (nonce === null) {
    throw refuse('request-malformed', 'x-receipt-nonce must be 1 to 64 bytes in base64url.')
  }
  return nonce
}

/** Waits, where there is something to wait for, until a keyset holds for as long as a call can take. */
function readyKeyset({ epochs, nowMs, upstreams, log }: Gateway): Promise<void> | undefined {
  return epochs.ready(nowMs(), upstreams.longestCallMs)?.catch((cause: unknown) => {
    log.error({ err: cause }, 'there is no keyset that holds')
    throw refuse('attestation-unavailable', '', cause)
  })
}

async function receiveRequest(
  gateway: Gateway,
  call: Call,
  received: BodySoFar,
): Promise<CallRequest> {
  const { limits } = gateway.config
  if (gateway.pending.isClosed) throw refuse('shutting-down')
  if (gateway.pending.size > limits.maxCalls) throw refuse('overloaded')
  const { request, path } = call
  const body = await readBody(request, limits.maxRequestBytes, received, gateway.requestMemory)
  await gateway.turns.end()
  const matched = findWireRoute(request.method ?? '', path)
  if (matched === undefined) throw new CallRefused(refusalOfPath(path))
  return parseCallRequest(matched, request.headers, body)
}

/** What the scheme of payment is told of a call. */
function offerOf(
  gateway: Gateway,
  call: Call,
  request: CallRequest,
  { priceAtomic, authorisation }: Bill,
): AdmissionRequest {
  return {
    receiptId: call.id,
    method: call.request.method ?? '',
    path: call.path,
    bodyDigest: request.bodyDigest,
    headers: call.request.headers,
    model: request.model,
    priceAtomic,
    isPricedByUse: authorisation !== undefined && isMetered(authorisation.sheet),
    isStream: request.parameters.get('stream') === 'true',
    caller: () => gateway.findCaller(call.request),
    limits: gateway.payerLimits,
  }
}

/** Answers a call that was made before as it was answered then. */
async function replayCall(
  gateway: Gateway,
  call: Call,
  admission: Exclude<Admission, { readonly kind: 'admitted' }>,
): Promise<void> {
  if (admission.kind === 'refused') throw new CallRefused(admission.refusal)
  const { receiptId } = admission
  // Its payment has ended; its receipt may be on its way.
  if (gateway.answers.get(receiptId, gateway.nowMs()) === undefined) {
    await gateway.pending.wait(receiptId, maxReceiptMs)
  }
  const answer =
    gateway.answers.get(receiptId, gateway.nowMs()) ??
    (await gateway.siblings?.findAnswer(receiptId, maxReceiptMs))
  if (answer === undefined) throw new CallRefused(admission.whenGone)
  sendWhole(call.response, answer.status, answer.headers, answer.body, answer.receipt)
}

function keepAnswer(
  gateway: Gateway,
  call: Call,
  { state, answer }: ExchangeRecord,
  receipt: IssuedReceipt | undefined,
  paid: Readonly<Record<string, string>>,
): void {
  if (receipt === undefined || state !== 'complete' || answer.kind === 'gone') return
  const body = answer.kind === 'whole' ? answer.body : answer.kept
  if (body === undefined || !isRepeatable(gateway.config.payment, call.request)) return
  const { status } = answer
  const headers = { ...answer.headers, ...paid }
  gateway.answers.put(receipt.idHex, { status, headers, body, receipt }, gateway.nowMs())
}

/**
 * For a replay of the translation. Bytes that were not kept whole are of no use for it, and those of a call that is not
 * charged would be an answer for nothing: callers can ask for one that cannot be translated. An error is no answer.
 */
function keepUpstreamAnswer(
  { upstreamAnswers, config, log, nowMs }: Gateway,
  call: Call,
  exchange: ExchangeRecord,
  use: CallResult,
): void {
  const { replayBody, upstreamBody, upstreamStatus } = exchange
  if (replayBody?.length !== upstreamBody.bytes || !config.receipts.enabled) return
  const isError = upstreamStatus !== null && upstreamStatus >= 400
  if (use !== 'used' && !isError) return
  try {
    upstreamAnswers?.put(call.idHex, call.token(), replayBody, nowMs())
  } catch (error) {
    log.error({ err: error }, 'the bytes of a translated answer could not be kept')
  }
}

async function answerRefusal(
  gateway: Gateway,
  call: Call,
  received: BodySoFar,
  error: unknown,
): Promise<void> {
  const refusal =
    error instanceof CallRefused
      ? error.refusal
      : ({ code: 'internal-error', detail: '', headers: {} } as const)
  if (!(error instanceof CallRefused)) gateway.log.error({ err: error }, 'a call failed')
  const { code, detail, headers } = refusal
  const { status } = describeGatewayError(code)
  const answerBody = createErrorBody(code, detail, call.dialect)
  const requestBody = received.collector.bytes()
  const receipt = gateway.config.receipts.enabled
    ? await issueRefusal(gateway, call, readNonce(call.request) ?? undefined, {
        code,
        status,
        requestBody,
        answerBody,
      }).catch((cause: unknown) => {
        // Without a keyset that holds nothing can be signed: the caller gets the refusal without a receipt.
        gateway.log.error({ err: cause }, 'a refusal could not be signed')
        return undefined
      })
    : undefined
  observeRefusedCall(gateway, call, code)
  // What is left of a body that was not read would be taken for the next request.
  const isLast = !call.request.complete || gateway.pending.isClosed
  const close = !isLast ? {} : { connection: 'close' }
  sendWhole(
    call.response,
    status,
    { ...refusalHeaders(code, headers), ...close },
    answerBody,
    receipt,
  )
}

/** The answer of a call that has no statement. What was delivered stays delivered. */
function answerUnsigned({ response, dialect }: Call): void {
  if (response.writableEnded) return
  const { status } = describeGatewayError('receipt-failed')
  const body = createErrorBody('receipt-failed', '', dialect)
  sendWhole(response, status, refusalHeaders('receipt-failed', {}), body, undefined)
}
