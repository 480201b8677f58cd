/** Payment `none`: every call is admitted and costs nothing (spec/payment.md PA2). */
import type { AdmittedPayment, PaymentScheme } from './admission.ts'

/** The payment of a call that costs nothing. */
export const freePayment: AdmittedPayment = {
  payer: null,
  release: () => Promise.resolve({ kind: 'released', headers: {} } as const),
  complete: () => Promise.resolve({ scheme: 'none', amountAtomic: 0n } as const),
  metered: null,
}

/** Admits everything; every charge is 0. */
export function createNoPayment(): PaymentScheme {
  return {
    admit: () => Promise.resolve({ kind: 'admitted', payment: freePayment } as const),
    identify: () => null,
    close: () => Promise.resolve(),
  }
}
