/** From a PAYMENT-SIGNATURE header to a durable reservation: the checks in their order (spec/payment.md PA7, PA8). */
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { createPaymentNonce, hashRequest } from '@countersign/protocol/payment/request-nonce'
import type { Address } from 'viem'
import type { GatewayErrorCode } from '../../errors.ts'
import type { AdmissionRequest } from '../admission.ts'
import { createCallName, readCallName, type CallName } from '../call-names.ts'
import { readIdempotencyKey } from '../idempotency-key.ts'
import { judgeName } from '../judge-name.ts'
import { latestEndSeconds } from '../latest-end.ts'
import type { ExactContext } from './context.ts'
import { findObserved } from './observed-payment.ts'
import { takeLook } from './take-look.ts'
import { isLapsed } from './exact-names.ts'
import type { PaymentRecord } from './ledger.ts'
import type { PaymentKey } from './payment-key.ts'
import type { Quote } from './offer.ts'
import { withinTime } from './pause.ts'
import {
  mismatch,
  parsePresentedPayment,
  type Authorization,
  type PresentedPayment,
} from './presented-payment.ts'
import { PaymentRefused } from './refused.ts'
import { keyOf, type Outcome } from './settlement.ts'

/** An open payment whose settlement is under way or done, or a call that was answered before. */
export type Decision =
  | {
      readonly kind: 'admitted'
      readonly record: PaymentRecord
      readonly outcome: Promise<Outcome>
    }
  | { readonly kind: 'replay'; readonly receiptId: string; readonly byName: boolean }

/** A call, and the name that its caller gave it. */
type NamedCall = {
  readonly payer: Address
  readonly request: Uint8Array
  readonly receiptId: string
  readonly identifier: string | undefined
  readonly name: CallName
  /** The network that it was presented from. */
  readonly caller: string
  /** Whoever reads the chain can show this payment: a name that it comes with is told nothing. */
  readonly isPublic?: boolean
}

type Presented = NamedCall & {
  readonly payment: PresentedPayment
  /** The call is priced by use now: `exact` is not offered for it. */
  readonly isOffered: boolean
}

/** Time for the payment to reach a block before it expires, as stock facilitators have it. */
const leastValiditySeconds = 6n
const waitForFundsMs = 5000

/**
 * Decides on one payment for one request.
 *
 * @throws PaymentRefused; ChainUnreachable when nothing was decided; DatabaseFault.
 */
export async function admitPayment(
  context: ExactContext,
  quote: Quote,
  request: AdmissionRequest,
  header: string | readonly string[],
): Promise<Decision> {
  const payment = parsePresentedPayment(header, quote)
  const { authorization, signature } = payment
  const presented: Presented = {
    ...createCall(authorization.from, request, readName(payment, request)),
    payment,
    isOffered: !request.isPricedByUse,
  }
  checkOffer(context, presented)
  checkBinding(presented)
  if (!context.isSignedByPayer(authorization, signature)) {
    throw new PaymentRefused('payment-invalid', 'The signature is not the payer’s.')
  }
  // Only a signature says who pays: before it anybody could use up the calls of somebody else.
  const limited = request.limits?.enter(request.receiptId, payerOf(authorization))
  if (limited !== undefined) {
    throw new PaymentRefused(limited.code, limited.detail, { headers: limited.headers })
  }
  return inTurn(context, authorization.from, () => decide(context, presented))
}

/**
 * A call that comes by another scheme under the name of a credit: the credit pays for it (PA4.4). Its payer is certain,
 * and its limits were asked.
 *
 * @throws as `admitPayment`.
 */
export async function admitCredit(
  context: ExactContext,
  request: AdmissionRequest,
  payer: Address,
  identifier: string,
): Promise<Decision> {
  const call = createCall(payer, request, createCallName(identifier))
  return inTurn(context, payer, async () => {
    const named = context.ledger.findIdentified(payer, identifier)
    // It was a credit a moment ago, and ended as one.
    if (named === undefined) throw new PaymentRefused('idempotency-key-in-progress')
    if (!equalBytes(named.request, call.request)) throw new PaymentRefused('idempotency-key-reused')
    return admitAgain(context, call, named, 'idempotency-key-in-progress')
  })
}

async function inTurn(
  context: ExactContext,
  payer: Address,
  work: () => Promise<Decision>,
): Promise<Decision> {
  const decision = await context.turns.run(payer, work)
  if (decision !== undefined) return decision
  throw new PaymentRefused('overloaded', 'Too many calls of this payer.')
}

function createCall(
  payer: Address,
  { method, path, bodyDigest, receiptId, caller }: AdmissionRequest,
  name: CallName,
): NamedCall {
  return {
    payer,
    request: hashRequest(method, path, bodyDigest()),
    receiptId: toHex(receiptId),
    identifier: name?.text,
    name,
    caller: caller?.() ?? '',
  }
}

/** PA8.6: what is not offered now may have been reserved under an earlier offer. Before the signature, which costs more. */
function checkOffer({ ledger }: ExactContext, { payment, isOffered }: Presented): void {
  const { otherThanOffered, authorization } = payment
  if (otherThanOffered === undefined && isOffered) return
  const known = ledger.find(keyOf(payment))
  const isReserved =
    known?.authorization.valueAtomic === authorization.valueAtomic &&
    known.authorization.to === authorization.to
  if (!isReserved) throw mismatch(otherThanOffered ?? 'scheme')
}

/** The name of a payer, as admitted payments have it. */
function payerOf({ from }: Authorization): string {
  return `address:${from.toLowerCase()}`
}

/** PA4: the identifier inside the payment, else the header. The two never meet. */
function readName(payment: PresentedPayment, { headers }: AdmissionRequest): CallName {
  const isMalformed = readIdempotencyKey(headers).kind === 'malformed'
  if (isMalformed && payment.identifier.kind === 'none') {
    const detail = 'Idempotency-Key takes 1 to 255 printable characters.'
    throw new PaymentRefused('request-malformed', detail)
  }
  return readCallName(payment, headers)
}

/** PA6: a payer that names a request means this very request, and its nonce proves it. */
function checkBinding({ payment, request }: Presented): void {
  const { binding, authorization } = payment
  if (binding.kind === 'none') return
  const nonce = `0x${toHex(createPaymentNonce(binding.requestHash, binding.salt))}`
  if (!equalBytes(binding.requestHash, request) || nonce !== authorization.nonce) {
    throw new PaymentRefused('payment-request-mismatch')
  }
}

/** In the payer's turn: nobody else changes what is decided on here. */
async function decide(context: ExactContext, presented: Presented): Promise<Decision> {
  const { payment, request } = presented
  const known = context.ledger.find(keyOf(payment))
  const bound = payment.binding.kind === 'request'
  // What was sent to the chain is public, and proves nothing about who shows it: names of metered calls are not told.
  const isPublic = known !== undefined && known.settlement !== 'none' && !bound
  const elsewhere = isPublic ? undefined : findMetered(context, presented)
  if (elsewhere !== undefined) return elsewhere
  const named = findNamed(context, presented)
  const inProgress = 'idempotency-key-in-progress'
  if (named !== undefined) return admitAgain(context, presented, named, inProgress)
  if (known === undefined) return admitNew(context, presented)
  // A bound payment is public once it is on chain; its salt is not.
  if (!equalBytes(known.request, request) || (known.bound && !bound)) {
    throw new PaymentRefused('payment-request-mismatch')
  }
  if (known.use === 'used' && !known.bound && !isNamed(context, presented)) {
    // PA11.2: the signature is public by now, and requests can be guessed.
    throw new PaymentRefused('payment-already-used')
  }
  const call = { ...presented, isPublic }
  return admitAgain(context, call, known, 'payment-in-progress', mustBeTaken(presented))
}

/** What was offered earlier holds for money that was taken: else old prices could be hoarded (PA8.6). */
function mustBeTaken({ payment, isOffered }: Presented): string | undefined {
  return payment.otherThanOffered ?? (isOffered ? undefined : 'scheme')
}

/**
 * A call by `upto` or from a channel has this name. Asked again in the turn that reserves: nothing is awaited between
 * the two, and one process owns both books (PA4.8).
 */
function findMetered(
  { meteredNames }: ExactContext,
  { name, payer, request }: NamedCall,
): Decision | undefined {
  if (name === undefined || meteredNames === undefined) return undefined
  const entry = meteredNames(name.digestFor(`0x${payer.slice(2).toLowerCase()}`))
  if (entry === undefined) return undefined
  const judged = judgeName(entry, entry.requestHash === `0x${toHex(request)}`)
  if (judged.kind === 'named') throw new PaymentRefused(judged.code)
  return { kind: 'replay', receiptId: entry.callId, byName: true }
}

/** The caller knows the name under which this very payment was used. */
function isNamed({ ledger }: ExactContext, { payment, identifier }: Presented): boolean {
  const { from, nonce } = payment.authorization
  return (
    identifier !== undefined &&
    ledger.findIdentified(from, identifier)?.authorization.nonce === nonce
  )
}

/** The payment of an earlier call of this name, when it still stands for something. */
function findNamed(
  { ledger, settler }: ExactContext,
  { payment, request, identifier }: Presented,
): PaymentRecord | undefined {
  if (identifier === undefined) return undefined
  const { from, nonce } = payment.authorization
  const named = ledger.findIdentified(from, identifier)
  if (named === undefined || named.authorization.nonce === nonce) return undefined
  if (!equalBytes(named.request, request)) throw new PaymentRefused('idempotency-key-reused')
  return isLapsed(named, settler) ? undefined : named
}

async function admitAgain(
  context: ExactContext,
  call: NamedCall,
  record: PaymentRecord,
  inProgress: GatewayErrorCode,
  otherThanOffered?: string,
): Promise<Decision> {
  if (record.use === 'open') throw new PaymentRefused(inProgress)
  if (record.use === 'used') {
    const byName = inProgress === 'idempotency-key-in-progress'
    return { kind: 'replay', receiptId: record.receiptId, byName }
  }
  const { ledger, settler } = context
  const { receiptId } = call
  const key = keyOf(record)
  const settled = await settleAgain(context, call, record, otherThanOffered)
  const meanwhile = findMetered(context, call)
  if (meanwhile !== undefined) {
    if (call.isPublic === true) throw new PaymentRefused('idempotency-key-reused')
    return meanwhile
  }
  ledger.reopen(key, receiptId, call.identifier)
  noteName(context, call, key)
  const reopened: PaymentRecord = { ...record, use: 'open', receiptId }
  const outcome = settled === undefined ? settler.settle(reopened, false) : Promise.resolve(settled)
  return { kind: 'admitted', record: reopened, outcome }
}

function noteName({ names }: ExactContext, call: NamedCall, key: PaymentKey): void {
  if (call.identifier !== undefined) names.note(call.payer, call.identifier, key)
}

/** The outcome that is known already; undefined when settlement is under way or may begin. */
async function settleAgain(
  context: ExactContext,
  call: NamedCall,
  record: PaymentRecord,
  otherThanOffered: string | undefined,
): Promise<Outcome | undefined> {
  const { settlement, transaction, authorization } = record
  if (settlement === 'confirmed' && transaction !== undefined) {
    return { kind: 'confirmed', transaction }
  }
  if (settlement === 'broadcast' || context.settler.isUnderWay(keyOf(record))) return undefined
  const permit = takeLook(context, call, { isKnown: true })
  // Reserved before, so whatever used the nonce since was meant for us.
  const elsewhere = await context.settler.findElsewhere(record)
  if (elsewhere.kind === 'known' && elsewhere.outcome.kind === 'confirmed') {
    permit.proven()
    return elsewhere.outcome
  }
  if (elsewhere.kind === 'shallow') return undefined
  if (settlement === 'failed' || elsewhere.kind !== 'unused') {
    throw new PaymentRefused('payment-settlement-failed')
  }
  // Nothing was taken: its payer loses nothing by the price of today.
  if (otherThanOffered !== undefined) throw mismatch(otherThanOffered)
  checkTimes(context, authorization)
  const funds = await reserveFunds(context, authorization)
  // Between the two looks: the settlement finds out by what.
  if (funds.kind === 'nonce-used') throw new PaymentRefused('payment-settlement-failed')
  permit.proven()
  return undefined
}

async function admitNew(context: ExactContext, presented: Presented): Promise<Decision> {
  const { payment, request, receiptId, identifier } = presented
  const { authorization, signature, binding } = payment
  checkTimes(context, authorization)
  const permit = takeLook(context, presented)
  const funds = await reserveFunds(context, authorization)
  const observed =
    funds.kind === 'reserved'
      ? undefined
      : await findObserved(context, authorization, presented, permit)
  permit.proven()
  const record: PaymentRecord = {
    authorization,
    signature,
    request,
    bound: binding.kind === 'request',
    receiptId,
    use: 'open',
    settlement: 'none',
    transaction: undefined,
    reservedBlock: funds.kind === 'reserved' ? funds.blockNumber : (observed?.blockNumber ?? 0n),
  }
  const meanwhile = findMetered(context, presented)
  if (meanwhile !== undefined) return meanwhile
  // Durable before the upstream is called and anything is broadcast: a crash here binds the payment, and takes nothing.
  context.ledger.reserve(record, identifier, context.clock())
  noteName(context, presented, keyOf(record))
  // A crash before this finds it again from that block on.
  if (observed !== undefined) {
    context.ledger.confirm(keyOf(record), observed.transaction, context.clock())
  }
  return { kind: 'admitted', record, outcome: context.settler.settle(record, false) }
}

function checkTimes({ clock, terms }: ExactContext, authorization: Authorization): void {
  const nowSeconds = BigInt(Math.floor(clock() / 1000))
  if (authorization.validAfterSeconds > nowSeconds) {
    throw new PaymentRefused('payment-invalid', 'The authorization is not valid yet.')
  }
  if (authorization.validBeforeSeconds < nowSeconds + leastValiditySeconds) {
    throw new PaymentRefused('payment-invalid', 'The authorization has expired.')
  }
  // What was delivered before it was paid is tried until then.
  if (authorization.validBeforeSeconds > latestEndSeconds(nowSeconds, terms)) {
    throw new PaymentRefused(
      'payment-invalid',
      'The authorization ends later than what is offered.',
    )
  }
}

/**
 * F4: what this payer promised in settlements under way, and this, is in its account. What is under way is counted
 * before the balance is read: a transfer between the two makes the sum too large, never too small; then we wait for
 * its end and look again.
 */
async function reserveFunds(
  context: ExactContext,
  authorization: Authorization,
): Promise<
  { readonly kind: 'reserved'; readonly blockNumber: bigint } | { readonly kind: 'nonce-used' }
> {
  const { chain, settler } = context
  const until = performance.now() + waitForFundsMs
  for (;;) {
    const promisedAtomic = settler.pendingAtomic(authorization.from)
    const { balanceAtomic, nonceUsed, blockNumber } = await chain.readPayer(authorization)
    if (nonceUsed) return { kind: 'nonce-used' }
    if (promisedAtomic + authorization.valueAtomic <= balanceAtomic) {
      return { kind: 'reserved', blockNumber }
    }
    const leftMs = until - performance.now()
    if (promisedAtomic === 0n || leftMs <= 0) {
      throw new PaymentRefused(
        'payment-settlement-failed',
        'The payer has not enough of the asset.',
      )
    }
    if (settler.pendingAtomic(authorization.from) > 0n) {
      await withinTime(settler.nextOutcome(authorization.from), leftMs, undefined)
    }
  }
}
