/** `upto`: what one payment is used for, and what all payments of a payer may take (spec/payment.md PA17). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { accept, refuse, type Step } from './step.ts'

/** What the settlement needs: the permit as it was signed, in hex and decimals. */
export type UptoPermit = {
  readonly token: Hex
  readonly amountAtomic: bigint
  readonly spender: Hex
  readonly nonce: bigint
  readonly deadlineSeconds: bigint
  readonly to: Hex
  readonly facilitator: Hex
  readonly validAfterSeconds: bigint
  readonly signature: Hex
}

/** One payment, from its reservation until it is settled and expired. A payment without a record is new. */
export type UptoPaymentRecord = {
  readonly payer: Hex
  readonly permit: UptoPermit
  readonly callId: string
  readonly requestHash: Hex
  readonly provenAtomic: bigint
  /** `settled` also stands for a charge of 0, which settles nothing. */
  readonly state:
    | { readonly kind: 'running' }
    | { readonly kind: 'charged' | 'settled' | 'failed'; readonly chargedAtomic: bigint }
}

/** The sums over the payments of one payer. */
export type PayerAccount = {
  readonly payer: Hex
  /** Ceilings of running calls. */
  readonly reservedAtomic: bigint
  /** Charges that are not settled. */
  readonly unsettledAtomic: bigint
  /** Charges whose settlement failed: for ever. */
  readonly failedAtomic: bigint
}

/** An event of one payment, or of its payer. */
export type UptoEvent =
  | {
      readonly type: 'upto-reserved'
      readonly payer: Hex
      readonly permit: UptoPermit
      readonly callId: string
      readonly requestHash: Hex
      /** min(balance, Permit2 allowance) as just read. */
      readonly fundsAtomic: bigint
      /** The most that this payer may owe at once. */
      readonly maxExposureAtomic: bigint
    }
  | {
      readonly type: 'upto-progressed' | 'upto-charged'
      readonly payer: Hex
      readonly nonce: bigint
      readonly amountAtomic: bigint
    }
  | {
      readonly type:
        | 'upto-released'
        | 'upto-settled'
        | 'upto-failed'
        /** A reorganisation took the settlement back: it is owed again. */
        | 'upto-unsettled'
        | 'upto-forgotten'
      readonly payer: Hex
      readonly nonce: bigint
    }

/** Both records that an event touches; a payment that is gone is undefined. */
export type UptoAccounts = {
  readonly payer: PayerAccount
  readonly payment: UptoPaymentRecord | undefined
}

/** The account of a payer that nothing is known of. */
export function createPayerAccount(payer: Hex): PayerAccount {
  return { payer, reservedAtomic: 0n, unsettledAtomic: 0n, failedAtomic: 0n }
}

/** Whether nothing is owed and nothing was: then there is nothing to remember. */
export function isBlank(payer: PayerAccount): boolean {
  return payer.reservedAtomic + payer.unsettledAtomic + payer.failedAtomic === 0n
}

/** The records after an event. A refusal changes nothing. */
export function reduceUpto(accounts: UptoAccounts, event: UptoEvent): Step<UptoAccounts> {
  const { payer, payment } = accounts
  if (event.type === 'upto-reserved') return reserve(accounts, event)
  if (payment === undefined) return refuse('call-unknown')
  switch (event.type) {
    case 'upto-progressed':
      return progress(accounts, payment, event.amountAtomic)
    case 'upto-charged':
      return charge(accounts, payment, event.amountAtomic)
    case 'upto-released':
      if (payment.state.kind !== 'running') return refuse('call-unknown')
      return accept({ payer: unreserve(payer, payment), payment: undefined })
    case 'upto-settled':
    case 'upto-failed':
      return settle(accounts, payment, event.type === 'upto-settled' ? 'settled' : 'failed')
    case 'upto-unsettled':
      return unsettle(payer, payment)
    case 'upto-forgotten':
      return payment.state.kind === 'settled' || payment.state.kind === 'failed'
        ? accept({ payer, payment: undefined })
        : refuse('still-needed')
  }
}

function reserve(
  { payer, payment }: UptoAccounts,
  event: UptoEvent & { readonly type: 'upto-reserved' },
): Step<UptoAccounts> {
  const { permit, callId, requestHash, fundsAtomic, maxExposureAtomic } = event
  if (payment !== undefined) {
    return refuse(payment.state.kind === 'running' ? 'payment-in-progress' : 'payment-already-used')
  }
  if (permit.amountAtomic < 1n) return refuse('amount-invalid')
  const owedAtomic = payer.reservedAtomic + payer.unsettledAtomic + permit.amountAtomic
  if (owedAtomic > fundsAtomic) return refuse('payer-funds-exceeded')
  // Who once could not pay what was charged has used up a part of our trust.
  if (owedAtomic + payer.failedAtomic > maxExposureAtomic) return refuse('payer-exposure-exceeded')
  return accept({
    payer: { ...payer, reservedAtomic: payer.reservedAtomic + permit.amountAtomic },
    payment: {
      payer: payer.payer,
      permit,
      callId,
      requestHash,
      provenAtomic: 0n,
      state: { kind: 'running' },
    },
  })
}

function progress(
  { payer }: UptoAccounts,
  payment: UptoPaymentRecord,
  provenAtomic: bigint,
): Step<UptoAccounts> {
  if (payment.state.kind !== 'running') return refuse('call-unknown')
  if (provenAtomic > payment.permit.amountAtomic) return refuse('charge-exceeds-reservation')
  if (provenAtomic < payment.provenAtomic) return refuse('amount-invalid')
  return accept({ payer, payment: { ...payment, provenAtomic } })
}

function charge(
  { payer }: UptoAccounts,
  payment: UptoPaymentRecord,
  chargedAtomic: bigint,
): Step<UptoAccounts> {
  if (payment.state.kind !== 'running') return refuse('call-unknown')
  if (chargedAtomic < 0n) return refuse('amount-invalid')
  if (chargedAtomic > payment.permit.amountAtomic) return refuse('charge-exceeds-reservation')
  const kind = chargedAtomic === 0n ? 'settled' : 'charged'
  const released = unreserve(payer, payment)
  return accept({
    payer: { ...released, unsettledAtomic: released.unsettledAtomic + chargedAtomic },
    // The payment is used up whatever was charged (PA17.3).
    payment: { ...payment, state: { kind, chargedAtomic } },
  })
}

function settle(
  { payer }: UptoAccounts,
  payment: UptoPaymentRecord,
  kind: 'settled' | 'failed',
): Step<UptoAccounts> {
  const { state } = payment
  if (state.kind !== 'charged') return refuse('not-settleable')
  const { chargedAtomic } = state
  return accept({
    payer: {
      ...payer,
      unsettledAtomic: payer.unsettledAtomic - chargedAtomic,
      failedAtomic: kind === 'failed' ? payer.failedAtomic + chargedAtomic : payer.failedAtomic,
    },
    payment: { ...payment, state: { kind, chargedAtomic } },
  })
}

function unsettle(payer: PayerAccount, payment: UptoPaymentRecord): Step<UptoAccounts> {
  const { state } = payment
  if (state.kind !== 'settled' || state.chargedAtomic === 0n) return refuse('not-settleable')
  const { chargedAtomic } = state
  return accept({
    payer: { ...payer, unsettledAtomic: payer.unsettledAtomic + chargedAtomic },
    payment: { ...payment, state: { kind: 'charged', chargedAtomic } },
  })
}

function unreserve(payer: PayerAccount, { permit }: UptoPaymentRecord): PayerAccount {
  return { ...payer, reservedAtomic: payer.reservedAtomic - permit.amountAtomic }
}
