/** Payment `none`: every call is admitted and costs nothing (spec/payment.md PA2). */
import type { AdmittedPayment, PaymentScheme } from './admission.ts'
import { createFreeNames } from './free-names.ts'

/** The payment of a call that costs nothing. */
export const freePayment: AdmittedPayment = {
  payer: null,
  release: () => Promise.resolve({ kind: 'released', headers: {} } as const),
  complete: () => Promise.resolve({ scheme: 'none', amountAtomic: 0n } as const),
  metered: null,
  releases: 'free',
}

const freely = Promise.resolve({ kind: 'admitted', payment: freePayment } as const)

/** Admits everything; every charge is 0. Calls that have a name are made once (PA4.6). */
export function createNoPayment(clock: () => number): PaymentScheme {
  const names = createFreeNames(freePayment, clock)
  return {
    admit: (request) =>
      request.headers['idempotency-key'] === undefined
        ? freely
        : Promise.resolve(names.admit(request)),
    identify: () => null,
    close: () => Promise.resolve(),
  }
}
