/** Completes two calls, leaves two open and waits to be killed: `api-key-child.ts FILE SECRET`. */
import { createApiKeyPayment } from '../../src/payment/api-key.ts'

const [databaseFile = '', secret = ''] = process.argv.slice(2)
const scheme = createApiKeyPayment({ databaseFile, asset: 'USD', clock: () => 0 })
for (const result of ['used', 'used', 'open', 'open']) {
  const admission = await scheme.admit({
    receiptId: new Uint8Array(16),
    method: 'POST',
    path: '/',
    bodyDigest: () => new Uint8Array(32),
    headers: { authorization: `Bearer ${secret}` },
    model: 'm',
    priceAtomic: 10_000n,
    isPricedByUse: false,
  })
  if (admission.kind !== 'admitted') throw new Error(admission.kind)
  if (result === 'used') await admission.payment.complete('used')
}
process.stdout.write('two complete, two open\n')
setInterval(() => undefined, 60_000)
