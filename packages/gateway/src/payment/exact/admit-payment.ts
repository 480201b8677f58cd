/** From a PAYMENT-SIGNATURE header to a durable reservation: the checks in their order (spec/payment.md PA7, PA8). */
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { createPaymentNonce, hashRequest } from '@countersign/protocol/payment/request-nonce'
import type { GatewayErrorCode } from '../../errors.ts'
import type { AdmissionRequest } from '../admission.ts'
import { readIdempotencyKey } from '../idempotency-key.ts'
import type { ExactContext } from './context.ts'
import type { PaymentRecord } from './ledger.ts'
import type { Quote } from './offer.ts'
import { withinTime } from './pause.ts'
import {
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
  | { readonly kind: 'replay'; readonly receiptId: string }

type Presented = {
  readonly payment: PresentedPayment
  readonly request: Uint8Array
  readonly receiptId: string
  readonly identifier: string | undefined
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
  const presented: Presented = {
    payment,
    request: hashRequest(request.method, request.path, request.bodyDigest()),
    receiptId: toHex(request.receiptId),
    identifier: readIdentifier(payment, request),
  }
  checkBinding(presented)
  const { authorization, signature } = payment
  if (!context.isSignedByPayer(authorization, signature)) {
    throw new PaymentRefused('payment-invalid', 'The signature is not the payer’s.')
  }
  // Only a signature says who pays: before it anybody could use up the calls of somebody else.
  const limited = request.limits?.enter(request.receiptId, payerOf(authorization))
  if (limited !== undefined) {
    throw new PaymentRefused(limited.code, limited.detail, { headers: limited.headers })
  }
  const decision = await context.turns.run(authorization.from, () => decide(context, presented))
  if (decision === undefined)
    throw new PaymentRefused('overloaded', 'Too many calls of this payer.')
  return decision
}

/** The name of a payer, as admitted payments have it. */
function payerOf({ from }: Authorization): string {
  return `address:${from.toLowerCase()}`
}

/** PA4: the identifier inside the payment, else the header. The two never meet. */
function readIdentifier(payment: PresentedPayment, request: AdmissionRequest): string | undefined {
  if (payment.identifier.kind === 'given') return `payment:${payment.identifier.id}`
  const header = readIdempotencyKey(request.headers)
  if (header.kind === 'malformed') {
    throw new PaymentRefused(
      'request-malformed',
      'Idempotency-Key takes 1 to 255 printable characters.',
    )
  }
  return header.kind === 'given' ? `header:${header.key}` : undefined
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
  const { from, nonce } = payment.authorization
  const named = findNamed(context, presented)
  if (named !== undefined)
    return admitAgain(context, presented, named, 'idempotency-key-in-progress')
  const known = context.ledger.find({ payer: from, nonce })
  if (known === undefined) return admitNew(context, presented)
  const bound = payment.binding.kind === 'request'
  // A bound payment is public once it is on chain; its salt is not.
  if (!equalBytes(known.request, request) || (known.bound && !bound)) {
    throw new PaymentRefused('payment-request-mismatch')
  }
  if (known.use === 'used' && !known.bound && !isNamed(context, presented)) {
    // PA11.2: the signature is public by now, and requests can be guessed.
    throw new PaymentRefused('payment-already-used')
  }
  return admitAgain(context, presented, known, 'payment-in-progress')
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
  const lapsed = named.settlement === 'none' || named.settlement === 'failed'
  return named.use === 'free' && lapsed && !settler.isUnderWay(keyOf(named)) ? undefined : named
}

async function admitAgain(
  context: ExactContext,
  presented: Presented,
  record: PaymentRecord,
  inProgress: GatewayErrorCode,
): Promise<Decision> {
  if (record.use === 'open') throw new PaymentRefused(inProgress)
  if (record.use === 'used') return { kind: 'replay', receiptId: record.receiptId }
  const { ledger, settler } = context
  const key = keyOf(record)
  const settled = await settleAgain(context, record)
  ledger.reopen(key, presented.receiptId)
  const reopened: PaymentRecord = { ...record, use: 'open', receiptId: presented.receiptId }
  const outcome = settled === undefined ? settler.settle(reopened, false) : Promise.resolve(settled)
  return { kind: 'admitted', record: reopened, outcome }
}

/** The outcome that is known already; undefined when settlement is under way or may begin. */
async function settleAgain(
  context: ExactContext,
  record: PaymentRecord,
): Promise<Outcome | undefined> {
  const { settlement, transaction, authorization } = record
  if (settlement === 'confirmed' && transaction !== undefined) {
    return { kind: 'confirmed', transaction }
  }
  if (settlement === 'broadcast' || context.settler.isUnderWay(keyOf(record))) return undefined
  // Reserved before, so whatever used the nonce since was meant for us.
  const elsewhere = await context.settler.findElsewhere(record)
  if (elsewhere.kind === 'known' && elsewhere.outcome.kind === 'confirmed') {
    return elsewhere.outcome
  }
  if (settlement === 'failed' || elsewhere.kind !== 'unused') {
    throw new PaymentRefused('payment-settlement-failed')
  }
  checkTimes(context, authorization)
  await reserveFunds(context, authorization)
  return undefined
}

async function admitNew(context: ExactContext, presented: Presented): Promise<Decision> {
  const { payment, request, receiptId, identifier } = presented
  const { authorization, signature, binding } = payment
  checkTimes(context, authorization)
  const reservedBlock = await reserveFunds(context, authorization)
  const record: PaymentRecord = {
    authorization,
    signature,
    request,
    bound: binding.kind === 'request',
    receiptId,
    use: 'open',
    settlement: 'none',
    transaction: undefined,
    reservedBlock,
  }
  // Durable before the upstream is called and before anything is broadcast: after a crash here the payment is bound
  // to this request, and nothing was taken.
  context.ledger.reserve(record, identifier, context.clock())
  return { kind: 'admitted', record, outcome: context.settler.settle(record, false) }
}

function checkTimes({ clock }: ExactContext, authorization: Authorization): void {
  const nowSeconds = BigInt(Math.floor(clock() / 1000))
  if (authorization.validAfterSeconds > nowSeconds) {
    throw new PaymentRefused('payment-invalid', 'The authorization is not valid yet.')
  }
  if (authorization.validBeforeSeconds < nowSeconds + leastValiditySeconds) {
    throw new PaymentRefused('payment-invalid', 'The authorization has expired.')
  }
}

/**
 * F4: what this payer promised in settlements under way, and this, is in its account. What is under way is counted
 * before the balance is read: a transfer between the two makes the sum too large, never too small; then we wait for
 * its end and look again.
 */
async function reserveFunds(context: ExactContext, authorization: Authorization): Promise<bigint> {
  const { chain, settler } = context
  const until = performance.now() + waitForFundsMs
  for (;;) {
    const promisedAtomic = settler.pendingAtomic(authorization.from)
    const { balanceAtomic, nonceUsed, blockNumber } = await chain.readPayer(authorization)
    // Settled without a reservation here: it bought something elsewhere.
    if (nonceUsed) throw new PaymentRefused('payment-already-used')
    if (promisedAtomic + authorization.valueAtomic <= balanceAtomic) return blockNumber
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
