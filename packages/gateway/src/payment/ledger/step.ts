/** What a reducer answers: the next record, or why there is none. */
import type { PaymentCode } from '@countersign/protocol/payment/payment-code'

/** What only a mistake of ours causes: an event that does not fit the state it is applied to. */
export type LedgerFault =
  | 'account-exists'
  | 'account-unknown'
  | 'amount-invalid'
  | 'call-exists'
  | 'call-unknown'
  | 'charge-below-minimum'
  | 'charge-exceeds-reservation'
  | 'day-over'
  | 'not-settleable'
  | 'still-needed'
  | 'transaction-exists'
  | 'transaction-unknown'

/** A refusal is a value, and leaves the record as it was. */
export type LedgerRefusal = { readonly kind: 'refused'; readonly code: PaymentCode | LedgerFault }

/** One step of a record. */
export type Step<T> = { readonly kind: 'accepted'; readonly next: T } | LedgerRefusal

/** The next record. */
export function accept<T>(next: T): Step<T> {
  return { kind: 'accepted', next }
}

/** No next record, and why. */
export function refuse(code: LedgerRefusal['code']): LedgerRefusal {
  return { kind: 'refused', code }
}
