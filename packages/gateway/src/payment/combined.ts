/** Several ways to pay at one gateway: the request says which one it takes (spec/payment.md PA1). */
import type { PaymentScheme } from './admission.ts'
import { readApiKey } from './api-key.ts'

/**
 * A payment in PAYMENT-SIGNATURE goes to `exact`, a key of ours to `apiKey`; everything else gets the quote of
 * `exact`, so that a wallet can pay.
 */
export function createCombinedPayment(schemes: {
  readonly exact: PaymentScheme
  readonly apiKey: PaymentScheme
}): PaymentScheme {
  const { exact, apiKey } = schemes
  return {
    admit: (request) => {
      const pays = request.headers['payment-signature'] !== undefined
      const scheme = pays || readApiKey(request.headers) === undefined ? exact : apiKey
      return scheme.admit(request)
    },
    identify: async (headers) =>
      (await apiKey.identify(headers)) ?? (await exact.identify(headers)),
    close: async () => {
      await Promise.all([exact.close(), apiKey.close()])
    },
  }
}
