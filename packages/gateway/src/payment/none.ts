/** Payment `none`: every call is admitted and costs nothing (spec/payment.md PA2). */
import type { PaymentScheme } from './admission.ts'

/** Admits everything; every charge is 0. */
export function createNoPayment(): PaymentScheme {
  const payment = {
    release: () => Promise.resolve({ kind: 'released', headers: {} } as const),
    complete: () => Promise.resolve({ scheme: 'none', amountAtomic: 0n } as const),
  }
  return {
    admit: () => Promise.resolve({ kind: 'admitted', payment } as const),
    close: () => Promise.resolve(),
  }
}
