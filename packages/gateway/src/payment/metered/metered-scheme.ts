/** Admits calls by `upto` and `batch-settlement`, beside `exact` where that is configured (spec/payment.md PA14 on). */
import { hash } from 'node:crypto'
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
import { encodeRequest } from '@countersign/protocol/payment/request-nonce'
import type { EnterPayer } from '../../limits/payer-limits.ts'
import type { Admission, AdmissionRequest, PaymentScheme, Refusal } from '../admission.ts'
import { admitChannelPayment } from '../channel/admit-channel-payment.ts'
import { createVoucherMemo, type ReadVoucher, type VoucherMemo } from '../channel/voucher-memo.ts'
import type { ChannelContext } from '../channel/channel-context.ts'
import type { CorrectiveExtra } from '../channel/channel-state.ts'
import { encodeOffers } from '../exact/offer.ts'
import { readCallName, type CallName } from '../call-names.ts'
import type { ExactPayment } from '../exact/exact-payment.ts'
import { readIdempotencyKey } from '../idempotency-key.ts'
import { answerNamed, type NamedElsewhere } from '../judge-name.ts'
import { paymentKey } from '../ledger/ledger.ts'
import { freePayment } from '../none.ts'
import { admitUptoPayment, type UptoContext } from '../upto/admit-upto-payment.ts'
import { createChannelPayment } from './channel-payment.ts'
import { toAccepts } from './metered-offers.ts'
import { createOfferCache, type CallOffers, type OfferCache } from './offer-cache.ts'
import { createUptoPayment } from './upto-payment.ts'

/** The schemes that run. */
export type MeteredSchemes = {
  readonly upto: UptoContext | undefined
  readonly channel: ChannelContext | undefined
  readonly resourceBaseUrl: string
  /** `exact`, and its offer; it takes calls at a fixed price only. */
  readonly exact: ExactBeside | undefined
  /** Whether the charge key is one to sell by (spec/payment.md PA28.3). */
  readonly isSelling: () => boolean
}

/** The fixed-price scheme that stands beside the metered ones. */
export type ExactBeside = {
  readonly scheme: ExactPayment
  readonly offer: (path: string, amountAtomic: bigint) => ReturnType<typeof toAccepts>[number]
}

/** One call, and what it is offered. */
type OfferedCall = {
  readonly request: AdmissionRequest
  readonly offers: CallOffers
  readonly isSelling: boolean
}

/** What is kept from call to call. */
type Kept = {
  readonly findOffers: OfferCache
  /** While nothing metered is sold. */
  readonly findExactOffers: OfferCache
  readonly vouchers: VoucherMemo
}

/** A scheme of everything that is configured; `close` ends it. */
export function createMeteredScheme(
  schemes: MeteredSchemes,
  close: () => Promise<void>,
): PaymentScheme {
  const { upto, channel, resourceBaseUrl, exact } = schemes
  const terms = { upto: upto?.terms, channel: channel?.terms, resourceBaseUrl }
  const kept: Kept = {
    findOffers: createOfferCache(terms, exact?.offer),
    findExactOffers: createOfferCache(
      { upto: undefined, channel: undefined, resourceBaseUrl },
      exact?.offer,
    ),
    vouchers: createVoucherMemo(),
  }
  return {
    admit: (request) => admit(schemes, kept, request),
    // A payment is judged with its request alone.
    identify: () => null,
    close,
  }
}

async function admit(
  schemes: MeteredSchemes,
  { findOffers, findExactOffers, vouchers }: Kept,
  request: AdmissionRequest,
): Promise<Admission> {
  const { path, priceAtomic, isPricedByUse, headers } = request
  // Nothing can be reserved: PA14.5.
  if (priceAtomic === 0n) return { kind: 'admitted', payment: freePayment }
  const isSelling = schemes.isSelling()
  const find = isSelling ? findOffers : findExactOffers
  const call: OfferedCall = { request, offers: find(path, priceAtomic, !isPricedByUse), isSelling }
  const given = headers['payment-signature']
  if (given === undefined && !isSelling && call.offers.exact === undefined) {
    return refused({ code: 'charge-key-untrusted', detail: '', headers: {} })
  }
  if (given === undefined) {
    return refused({
      code: 'payment-required',
      detail: '',
      headers: call.offers.quote('payment-required'),
    })
  }
  if (readIdempotencyKey(headers).kind === 'malformed') {
    return refused({ code: 'request-malformed', detail: malformedKey, headers: {} })
  }
  const header = typeof given === 'string' ? given : given.join()
  try {
    const known = recall(vouchers, call, header)
    if (known !== undefined) return await admitChannel(schemes, call, known)
    return await choose(schemes, vouchers, call, header)
  } catch (error) {
    if (!(error instanceof PaymentError)) throw error
    return refused(createRefusal(call, error.code, error.detail))
  }
}

const malformedKey = 'Idempotency-Key takes 1 to 255 printable ASCII characters.'

function recall(
  vouchers: VoucherMemo,
  { offers: { channel } }: OfferedCall,
  header: string,
): ReadVoucher | undefined {
  return channel === undefined ? undefined : vouchers.recall(header, channel)
}

/** The accepted offer says which scheme judges. */
async function choose(
  schemes: MeteredSchemes,
  vouchers: VoucherMemo,
  call: OfferedCall,
  header: string,
): Promise<Admission> {
  const presented = parsePaymentHeader(header)
  const scheme = presented.accepted.get('scheme')
  const { request, offers, isSelling } = call
  if (!isSelling && (scheme !== 'exact' || schemes.exact === undefined)) {
    throw new PaymentError('charge-key-untrusted', '')
  }
  if (scheme === 'exact' && schemes.exact !== undefined) {
    const admission = await schemes.exact.scheme.admit(request)
    // A credit of `exact` needs no charge key; there is nothing else to offer.
    const isNothingElse = !isSelling && offers.exact === undefined
    if (isNothingElse && admission.kind === 'refused') {
      throw new PaymentError('charge-key-untrusted', '')
    }
    return offers.exact === undefined ? withoutOffer(call, admission) : admission
  }
  if (scheme === 'upto' && schemes.upto !== undefined && offers.upto !== undefined) {
    return admitUpto(schemes, schemes.upto, call, presented, offers.upto)
  }
  if (scheme === 'batch-settlement' && schemes.channel !== undefined) {
    const { channel } = offers
    return admitChannel(schemes, call, presented, (read) => {
      if (channel !== undefined) vouchers.learn(header, channel, read)
    })
  }
  throw new PaymentError('payment-scheme-mismatch', 'No such scheme is offered for this call.')
}

/** A credit of `exact` is good where only metered schemes are offered by now (PA8.6); nothing else of it is. */
function withoutOffer(call: OfferedCall, admission: Admission): Admission {
  if (admission.kind === 'admitted') return admission
  const refusal = admission.kind === 'refused' ? admission.refusal : admission.whenGone
  const { code, headers } = refusal
  if (code === 'payment-offer-mismatch') {
    throw new PaymentError('payment-scheme-mismatch', 'No such scheme is offered for this call.')
  }
  if (headers['payment-required'] === undefined) return admission
  const offered = { ...refusal, headers: { ...headers, ...call.offers.quote(code) } }
  return admission.kind === 'refused' ? refused(offered) : { ...admission, whenGone: offered }
}

async function admitUpto(
  schemes: MeteredSchemes,
  context: UptoContext,
  call: OfferedCall,
  presented: PresentedPayment,
  offer: MeteredOffer,
): Promise<Admission> {
  const requestHash = hashOf(call.request)
  const callId = toHex(call.request.receiptId)
  const name = readCallName(parsePaymentExtensions(presented), call.request.headers)
  const admission = await admitUptoPayment(context, {
    presented,
    offer,
    callId,
    requestHash,
    name,
    beside: schemes.exact?.scheme.names,
    caller: call.request.caller?.() ?? '',
    enter: enterOf(call),
  })
  if (admission.kind === 'admitted') {
    return { kind: 'admitted', payment: createUptoPayment(context.terms, admission.reservation) }
  }
  if (admission.kind === 'limited') return refused(admission.limited)
  if (admission.kind !== 'refused') return answerCaller(schemes, call, name, admission)
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
  schemes: MeteredSchemes,
  call: OfferedCall,
  presented: PresentedPayment | ReadVoucher,
  learn?: (read: ReadVoucher) => void,
): Promise<Admission> {
  const { request, offers } = call
  const { channel: context } = schemes
  if (context === undefined || offers.channel === undefined)
    throw new Error('no channel is offered')
  const name = nameOf(presented, request.headers)
  const admission = await admitChannelPayment(context, {
    presented,
    offer: offers.channel,
    callId: toHex(request.receiptId),
    requestHash: hashOf(request),
    isStream: request.isStream ?? false,
    name,
    beside: schemes.exact?.scheme.names,
    ...(request.caller === undefined ? {} : { caller: request.caller() }),
    enter: enterOf(call),
  })
  if (admission.kind === 'limited') return refused(admission.limited)
  if (admission.kind === 'refused') {
    const { code, detail, correction } = admission
    return refused(createRefusal(call, code, detail, correction))
  }
  if (admission.kind !== 'admitted') return answerCaller(schemes, call, name, admission)
  const { read, reservation } = admission
  learn?.(read)
  const isDeposit = read.payment.action.kind === 'deposit'
  return { kind: 'admitted', payment: createChannelPayment(context, reservation, isDeposit) }
}

/** A text that is remembered names no call: only its header can. */
function nameOf(
  presented: PresentedPayment | ReadVoucher,
  headers: AdmissionRequest['headers'],
): CallName {
  const isNew = 'accepted' in presented
  return readCallName(isNew ? parsePaymentExtensions(presented) : unnamed, headers)
}

const unnamed = { identifier: { kind: 'none' } } as const

/** PA4.3: the signature was judged. The payment that came along is neither recorded nor used. */
async function answerCaller(
  { exact }: MeteredSchemes,
  call: OfferedCall,
  name: CallName,
  named: NamedElsewhere & { readonly payer: Hex },
): Promise<Admission> {
  // PA25.2: before names, and a call that is answered again counts as one.
  const limited = enterOf(call)(`address:${named.payer}`)
  if (limited !== undefined) return refused(limited)
  if (named.kind !== 'credit') return answerNamed(named)
  // PA4.4: what was taken for this call pays for it.
  if (exact === undefined || name === undefined) throw new Error('a credit without its scheme')
  const admission = await exact.scheme.admitCredit(call.request, named.payer, name.text)
  return withoutOffer(call, admission)
}

function enterOf({ request }: OfferedCall): EnterPayer {
  return (payer) => request.limits?.enter(request.receiptId, payer)
}

function hashOf({ method, path, bodyDigest }: AdmissionRequest): Hex {
  return `0x${hash('sha256', encodeRequest(method, path, bodyDigest()))}`
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
  { offers }: OfferedCall,
  error: string,
  correction?: CorrectiveExtra,
): Readonly<Record<string, string>> {
  if (correction === undefined) return offers.quote(error)
  const beside = offers.exact === undefined ? [] : [offers.exact]
  return encodeOffers(offers.resourceUrl, [...toAccepts(offers, correction), ...beside], error)
}

function refused(refusal: Refusal): Admission {
  return { kind: 'refused', refusal }
}
