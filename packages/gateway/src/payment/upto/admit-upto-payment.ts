/** A signed maximum becomes a reservation (spec/payment.md PA15, PA17). */
import { encodeEvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { checkAccepted, type MeteredOffer } from '@countersign/protocol/payment/metered-offer'
import {
  describePaymentCode,
  isPaymentCode,
  PaymentError,
  type PaymentCode,
} from '@countersign/protocol/payment/payment-code'
import { parsePaymentExtensions } from '@countersign/protocol/payment/payment-extensions'
import type { Permit2Domain } from '@countersign/protocol/payment/permit2'
import type { PresentedPayment } from '@countersign/protocol/payment/presented-payment'
import { createPaymentNonce } from '@countersign/protocol/payment/request-nonce'
import {
  parseUptoPayload,
  type UptoPayment,
  type UptoTerms,
} from '@countersign/protocol/payment/upto-payload'
import { equalBytes } from '@countersign/protocol/bytes/byte-string'
import { fromHex } from '@countersign/protocol/bytes/text-encoding'
import { applyOwn, checkSigner, toPaymentError } from '../channel/channel-context.ts'
import type { NamedElsewhere } from '../judge-name.ts'
import type { EnterPayer, LimitReached } from '../../limits/payer-limits.ts'
import type { ReadBudget } from '../../limits/read-budget.ts'
import type { EvmCurve } from '../evm-curve.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'
import { paymentKey, type LedgerEvent } from '../ledger/ledger.ts'
import type { UptoPermit } from '../ledger/upto-account.ts'
import { findNamed, isNameKnown, takeName, type CallName, type NamesBeside } from '../call-names.ts'
import { latestEndSeconds } from '../latest-end.ts'

/** What admission needs. */
export type UptoContext = {
  readonly terms: UptoTerms
  readonly permit2Domain: Permit2Domain
  readonly curve: EvmCurve
  readonly ledger: DurableLedger
  /** min(balance, Permit2 allowance) of a payer now. Rejects when the chain does not answer. */
  readonly readFunds: (payer: Hex) => Promise<bigint>
  /** How often the chain is asked for payers who have shown no money (PA30); always, when absent. */
  readonly reads?: ReadBudget
  /** The most that one payer may owe at once. */
  readonly maxExposureAtomic: bigint
  /** The most that all payers together may owe at once: addresses cost nothing. A hundred times that of one if absent. */
  readonly maxTotalExposureAtomic?: bigint
  /** Most payments that are running or not settled, all payers together: more are not on chain in time. */
  readonly maxUnsettledPayments?: number
  /** Begins the settlement of what was charged; never rejects. */
  readonly settle: (payer: Hex, nonce: bigint) => void
  readonly clock: () => number
}

/** A call that wants to be paid by a signed maximum. */
export type UptoCall = {
  readonly presented: PresentedPayment
  readonly offer: MeteredOffer
  /** 32 hex digits: the receipt id. */
  readonly callId: string
  /** Hash of the request as PA4.2 has it. */
  readonly requestHash: Hex
  /** The name that the caller gave the call. */
  readonly name?: CallName
  /** Names of `exact`: the book is one (PA4.8). */
  readonly beside?: NamesBeside | undefined
  /** The network that it was presented from. */
  readonly caller?: string
  /** Asked once, when the payer is known and before anything is reserved. */
  readonly enter?: EnterPayer
}

/** A reservation that is on the disk. Exactly one of `charge` and `release` ends it. */
export type UptoReservation = {
  readonly payer: Hex
  /** The Permit2 nonce: the payment id of the receipt, as 32 bytes. */
  readonly nonce: bigint
  readonly ceilingAtomic: bigint
  /** The payer's permit ends then. A call that is still running must be ended and charged before: else it is free. */
  readonly deadlineSeconds: bigint
  /** What the answer so far is worth; a crash charges the last that reached the disk. */
  progress(provenAtomic: bigint): void
  /** Resolves when the charge is on the disk; its settlement has begun. */
  charge(amountAtomic: bigint): Promise<void>
  /** The payment is as new. Only before the first byte of an answer has left. */
  release(): Promise<void>
  /** The statement about the charge is stored: a start need not issue it again. Nobody waits for it. */
  receiptStored(): void
}

/** What admission decides. */
export type UptoAdmission =
  | { readonly kind: 'admitted'; readonly reservation: UptoReservation }
  | (NamedElsewhere & { readonly payer: Hex })
  | { readonly kind: 'limited'; readonly limited: LimitReached }
  | { readonly kind: 'refused'; readonly code: PaymentCode; readonly detail: string }

/**
 * Judges a payment and reserves its maximum. A refusal leaves nothing behind.
 */
export async function admitUptoPayment(
  context: UptoContext,
  call: UptoCall,
): Promise<UptoAdmission> {
  const { ledger, curve, permit2Domain, readFunds, maxExposureAtomic } = context
  try {
    const payment = readCall(context, call)
    const { payer, permit } = payment
    // Who knows the name of a call that was paid for gets its answer, also for the payment that it used.
    if (!isNameKnown(ledger, payer, call)) checkUnused(ledger, payer, permit.nonce)
    const digest = permit2Domain.hashUpto(permit, payment.witness)
    checkSigner(curve, digest, payment.signature, payer)
    const before = findNamed(ledger, payer, call, context.clock())
    if (before.kind !== 'new') return { ...before, payer }
    checkUnused(ledger, payer, permit.nonce)
    const isKnown = ledger.state.payers.has(payer)
    const look = context.reads?.take({ payer, caller: call.caller ?? '', isKnown })
    if (look?.kind === 'limited') return look
    const fundsAtomic = await readFunds(payer)
    checkTotal(context, permit.amountAtomic)
    // Another call of this name may have been admitted meanwhile.
    const meanwhile = findNamed(ledger, payer, call, context.clock())
    if (meanwhile.kind !== 'new') return { ...meanwhile, payer }
    const limited = call.enter?.(`address:${payer}`)
    if (limited !== undefined) return { kind: 'limited', limited }
    const step = ledger.apply({
      type: 'upto-reserved',
      payer,
      permit: toPermit(payment),
      callId: call.callId,
      requestHash: call.requestHash,
      fundsAtomic,
      maxExposureAtomic,
    })
    if (step.kind === 'refused') return refuse(step.code)
    look?.proven()
    takeName(ledger, payer, call, context.clock())
    await ledger.durable()
    return { kind: 'admitted', reservation: createReservation(context, payment, call.callId) }
  } catch (error) {
    const { code, detail } = toPaymentError(error)
    return { kind: 'refused', code, detail }
  }
}

function readCall({ terms, clock }: UptoContext, call: UptoCall): UptoPayment {
  const { presented, offer } = call
  checkAccepted(presented, offer)
  const { binding } = parsePaymentExtensions(presented)
  const nowSeconds = BigInt(Math.floor(clock() / 1000))
  const payment = parseUptoPayload(presented.payload, terms, offer.amountAtomic, nowSeconds)
  // What is charged and not paid counts until then, against what all may owe.
  if (payment.permit.deadlineSeconds > latestEndSeconds(nowSeconds, terms)) {
    throw new PaymentError('payment-offer-mismatch', 'The deadline is later than what is offered.')
  }
  if (binding.kind === 'request') {
    const requestHash = fromHex(call.requestHash.slice(2)) ?? new Uint8Array()
    const nonce = fromHex(payment.permit.nonce.toString(16).padStart(64, '0')) ?? new Uint8Array()
    const isBound =
      equalBytes(binding.requestHash, requestHash) &&
      equalBytes(createPaymentNonce(requestHash, binding.salt), nonce)
    if (!isBound) {
      throw new PaymentError('payment-request-mismatch', 'The payment is for another request.')
    }
  }
  return payment
}

/** Before the signature is checked: a payment that is used costs a look into a map (F1). */
function checkUnused({ state }: DurableLedger, payer: Hex, nonce: bigint): void {
  const known = state.payments.get(paymentKey(payer, nonce))
  if (known === undefined) return
  if (known.state.kind === 'running') {
    throw new PaymentError('payment-in-progress', 'A call with this payment is running.')
  }
  throw new PaymentError('payment-already-used', 'This payment has bought its call.')
}

/** Who moves its money before the settlement has a call for nothing, and the next address has the next. */
function checkTotal(
  {
    ledger,
    maxExposureAtomic,
    maxTotalExposureAtomic = maxExposureAtomic * 100n,
    maxUnsettledPayments = 10_000,
  }: UptoContext,
  amountAtomic: bigint,
): void {
  if (ledger.state.open.payments >= maxUnsettledPayments) {
    throw new PaymentError('payer-exposure-exceeded', 'Too many payments are not settled yet.')
  }
  let owedAtomic = amountAtomic
  // Only who owes something is there.
  for (const { reservedAtomic, unsettledAtomic } of ledger.state.payers.values()) {
    owedAtomic += reservedAtomic + unsettledAtomic
  }
  if (owedAtomic > maxTotalExposureAtomic) {
    throw new PaymentError('payer-exposure-exceeded', 'Too much is not settled yet.')
  }
}

function createReservation(
  { ledger, settle }: UptoContext,
  { payer, permit }: UptoPayment,
  callId: string,
): UptoReservation {
  const { nonce, amountAtomic: ceilingAtomic, deadlineSeconds } = permit
  const write = async (event: LedgerEvent): Promise<void> => {
    applyOwn(ledger, event)
    await ledger.durable()
  }
  return {
    payer,
    nonce,
    ceilingAtomic,
    deadlineSeconds,
    progress: (amountAtomic) => {
      applyOwn(ledger, { type: 'upto-progressed', payer, nonce, amountAtomic })
    },
    charge: async (amountAtomic) => {
      await write({ type: 'upto-charged', payer, nonce, amountAtomic })
      if (amountAtomic > 0n) settle(payer, nonce)
    },
    release: () => write({ type: 'upto-released', payer, nonce }),
    receiptStored: () => {
      applyOwn(ledger, { type: 'receipt-issued', callId })
    },
  }
}

function toPermit({ permit, witness, signature }: UptoPayment): UptoPermit {
  return { ...permit, ...witness, signature: encodeEvmSignature(signature) }
}

/** @throws Error for a refusal that only a mistake of ours explains. */
function refuse(code: string): UptoAdmission {
  if (!isPaymentCode(code)) throw new Error(`the ledger refused a payment: ${code}`)
  return { kind: 'refused', code, detail: describePaymentCode(code).reason }
}
