/** Admits calls by `upto` and `batch-settlement`, beside `exact` where that is configured (spec/payment.md PA14 on). */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { parseAddress, parseDecimal, type Hex } from '@countersign/protocol/payment/evm-word'
import { isJsonMap } from '@countersign/protocol/payment/json-members'
import type { MeteredOffer } from '@countersign/protocol/payment/metered-offer'
import {
  describePaymentCode,
  PaymentError,
  type PaymentCode,
} from '@countersign/protocol/payment/payment-code'
import { parsePaymentExtensions } from '@countersign/protocol/payment/payment-extensions'
import {
  parsePaymentHeader,
  type PresentedPayment,
} from '@countersign/protocol/payment/presented-payment'
import { hashRequest } from '@countersign/protocol/payment/request-nonce'
import type {
  Admission,
  AdmissionRequest,
  AdmittedPayment,
  PaymentScheme,
  Refusal,
} from '../admission.ts'
import { admitChannelPayment } from '../channel/admit-channel-payment.ts'
import type { ChannelContext } from '../channel/channel-context.ts'
import type { CorrectiveExtra } from '../channel/channel-state.ts'
import { encodeOffers } from '../exact/offer.ts'
import { readIdempotencyKey } from '../idempotency-key.ts'
import { paymentKey } from '../ledger/ledger.ts'
import { freePayment } from '../none.ts'
import { admitUptoPayment, type UptoContext } from '../upto/admit-upto-payment.ts'
import { readCallName, type NamedElsewhere } from './call-names.ts'
import { createChannelPayment } from './channel-payment.ts'
import { createMeteredOffers, toAccepts, type MeteredOffers } from './metered-offers.ts'
import { createUptoPayment } from './upto-payment.ts'

/** The schemes that run. */
export type MeteredSchemes = {
  readonly upto: UptoContext | undefined
  readonly channel: ChannelContext | undefined
  readonly resourceBaseUrl: string
  /** `exact`, and its offer; it takes calls at a fixed price only. */
  readonly exact: ExactBeside | undefined
}

/** The fixed-price scheme that stands beside the metered ones. */
export type ExactBeside = {
  readonly scheme: PaymentScheme
  readonly offer: (path: string, amountAtomic: bigint) => ReturnType<typeof toAccepts>[number]
}

/** One call, and what it is offered. */
type OfferedCall = {
  readonly request: AdmissionRequest
  readonly offers: MeteredOffers
  readonly exact: ExactBeside | undefined
}

/** A scheme of everything that is configured; `close` ends it. */
export function createMeteredScheme(
  schemes: MeteredSchemes,
  close: () => Promise<void>,
): PaymentScheme {
  return {
    admit: (request) => admit(schemes, request),
    // A payment is judged with its request alone.
    identify: () => null,
    close,
  }
}

async function admit(schemes: MeteredSchemes, request: AdmissionRequest): Promise<Admission> {
  const { path, priceAtomic, isPricedByUse, headers } = request
  // Nothing can be reserved: PA14.5.
  if (priceAtomic === 0n) return { kind: 'admitted', payment: freePayment }
  const { upto, channel, resourceBaseUrl } = schemes
  const terms = { upto: upto?.terms, channel: channel?.terms, resourceBaseUrl }
  const call: OfferedCall = {
    request,
    offers: createMeteredOffers(terms, path, priceAtomic),
    exact: isPricedByUse ? undefined : schemes.exact,
  }
  const header = headers['payment-signature']
  if (header === undefined) {
    const quote = createQuote(call, 'payment-required')
    return refused({ code: 'payment-required', detail: '', headers: quote })
  }
  if (readIdempotencyKey(headers).kind === 'malformed') {
    return refused({ code: 'request-malformed', detail: malformedKey, headers: {} })
  }
  try {
    const presented = parsePaymentHeader(typeof header === 'string' ? header : header.join())
    return await choose(schemes, call, presented)
  } catch (error) {
    if (!(error instanceof PaymentError)) throw error
    return refused(createRefusal(call, error.code, error.detail))
  }
}

const malformedKey = 'Idempotency-Key takes 1 to 255 printable ASCII characters.'

/** The accepted offer says which scheme judges. */
async function choose(
  schemes: MeteredSchemes,
  call: OfferedCall,
  presented: PresentedPayment,
): Promise<Admission> {
  const scheme = presented.accepted.get('scheme')
  const { request, offers, exact } = call
  if (scheme === 'exact' && exact !== undefined) return exact.scheme.admit(request)
  if (scheme === 'upto' && schemes.upto !== undefined && offers.upto !== undefined) {
    return admitUpto(schemes.upto, call, presented, offers.upto)
  }
  if (scheme === 'batch-settlement' && schemes.channel !== undefined) {
    return admitChannel(schemes.channel, call, presented, offers.channel)
  }
  throw new PaymentError('payment-scheme-mismatch', 'No such scheme is offered for this call.')
}

async function admitUpto(
  context: UptoContext,
  call: OfferedCall,
  presented: PresentedPayment,
  offer: MeteredOffer,
): Promise<Admission> {
  const requestHash = hashOf(call.request)
  const callId = toHex(call.request.receiptId)
  const name = readCallName(parsePaymentExtensions(presented), call.request.headers)
  const admission = await admitUptoPayment(context, { presented, offer, callId, requestHash, name })
  if (admission.kind === 'admitted') {
    return enter(call, createUptoPayment(context.terms, admission.reservation))
  }
  if (admission.kind !== 'refused') return answerNamed(call, admission)
  const refusal = createRefusal(call, admission.code, admission.detail)
  const earlier =
    admission.code === 'payment-already-used'
      ? findAnswered(context, presented, requestHash)
      : undefined
  return earlier === undefined
    ? refused(refusal)
    : { kind: 'replay', receiptId: earlier, whenGone: refusal }
}

/** PA11.2: who knows the salt of the payment's nonce may have the answer again; it was compared before. */
function findAnswered(
  { ledger }: UptoContext,
  presented: PresentedPayment,
  requestHash: Hex,
): string | undefined {
  const { binding } = parsePaymentExtensions(presented)
  const authorization = presented.payload.get('permit2Authorization')
  if (binding.kind === 'none' || !isJsonMap(authorization)) return undefined
  const payer = parseAddress(authorization.get('from'))
  const nonce = parseDecimal(authorization.get('nonce'), 256n)
  if (payer === undefined || nonce === undefined) return undefined
  const record = ledger.state.payments.get(paymentKey(payer, nonce))
  return record?.requestHash === requestHash ? record.callId : undefined
}

async function admitChannel(
  context: ChannelContext,
  call: OfferedCall,
  presented: PresentedPayment,
  offer: MeteredOffer | undefined,
): Promise<Admission> {
  if (offer === undefined) throw new Error('a channel without an offer')
  const admission = await admitChannelPayment(context, {
    presented,
    offer,
    callId: toHex(call.request.receiptId),
    requestHash: hashOf(call.request),
    name: readCallName(parsePaymentExtensions(presented), call.request.headers),
  })
  if (admission.kind === 'replay' || admission.kind === 'named') {
    return answerNamed(call, admission)
  }
  if (admission.kind === 'refused') {
    const { code, detail, correction } = admission
    return refused(createRefusal(call, code, detail, correction))
  }
  const isDeposit = presented.payload.get('type') === 'deposit'
  return enter(call, createChannelPayment(context, admission.reservation, isDeposit))
}

/** PA4.3: the signature was judged. The payment that came along is neither recorded nor used. */
function answerNamed(
  { request }: OfferedCall,
  named: NamedElsewhere & { readonly payer: Hex },
): Admission {
  if (named.kind === 'named') return refused({ code: named.code, detail: '', headers: {} })
  const limited = request.limits?.enter(request.receiptId, `address:${named.payer}`)
  if (limited !== undefined) return refused(limited)
  const whenGone = { code: 'answer-gone', detail: '', headers: {} } as const
  return { kind: 'replay', receiptId: named.receiptId, whenGone }
}

/** Only a judged signature says who pays (PA25): a call that came too early gives its reservation back. */
async function enter({ request }: OfferedCall, payment: AdmittedPayment): Promise<Admission> {
  const limited = request.limits?.enter(request.receiptId, payment.payer ?? '')
  if (limited === undefined) return { kind: 'admitted', payment }
  await payment.complete('unused')
  return refused(limited)
}

function hashOf({ method, path, bodyDigest }: AdmissionRequest): Hex {
  return `0x${toHex(hashRequest(method, path, bodyDigest()))}`
}

/** Every 402 carries a fresh quote, with the state of the channel where that helps. */
function createRefusal(
  call: OfferedCall,
  code: PaymentCode,
  detail: string,
  correction?: CorrectiveExtra,
): Refusal {
  const { status, reason } = describePaymentCode(code)
  return {
    code,
    detail: detail === reason ? '' : detail,
    headers: status === 402 ? createQuote(call, reason, correction) : {},
  }
}

function createQuote(
  { request, offers, exact }: OfferedCall,
  error: string,
  correction?: CorrectiveExtra,
): Readonly<Record<string, string>> {
  const beside = exact === undefined ? [] : [exact.offer(request.path, request.priceAtomic)]
  return encodeOffers(offers.resourceUrl, [...toAccepts(offers, correction), ...beside], error)
}

function refused(refusal: Refusal): Admission {
  return { kind: 'refused', refusal }
}
