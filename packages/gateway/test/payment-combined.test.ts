import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createApiKeyPayment } from '../src/payment/api-key.ts'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { createCombinedPayment } from '../src/payment/combined.ts'
import { createExactPayment } from '../src/payment/exact/exact-payment.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { createExactOptions } from './payment/exact-scheme.ts'
import { signStockPayment, withPayment } from './payment/payer.ts'
import {
  createDirectory,
  createRequest,
  expectAdmitted,
  expectRefused,
} from './payment/requests.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

test('a payment goes to exact, a key to api-key, and everything else gets a quote', async () => {
  // Both in one file: the schemes keep out of each other's way.
  const databaseFile = join(createDirectory(), 'payment.sqlite')
  const store = openApiKeyStore(databaseFile)
  const { secret } = store.create('test', 100_000n, 0)
  store.close()
  const apiKey = createApiKeyPayment({ databaseFile, asset: 'USD', clock: () => 0 })
  const exact = createExactPayment(createExactOptions(chain, { databaseFile }))
  const scheme = createCombinedPayment({ exact, apiKey })
  onTestFinished(() => scheme.close())

  for (const headers of [{}, { authorization: 'Bearer sk-other' }]) {
    const refusal = expectRefused(await scheme.admit(createRequest(headers)))
    expect(refusal.code).toBe('payment-required')
    expect(refusal.headers['payment-required']).toBeDefined()
  }
  const headers = { authorization: `Bearer ${secret}` }
  const byKey = expectAdmitted(await scheme.admit(createRequest(headers)))
  expect(await byKey.complete('used')).toMatchObject({ scheme: 'api-key', amountAtomic: 10_000n })
  const unknown = { 'x-api-key': `csk_${'A'.repeat(43)}` }
  expect(expectRefused(await scheme.admit(createRequest(unknown))).code).toBe('api-key-invalid')
  const payment = await signStockPayment(scheme, chain.nextPayer(), createRequest({}))
  const paid = expectAdmitted(await scheme.admit(withPayment(createRequest(headers), payment)))
  expect((await paid.release()).kind).toBe('released')
  expect(await paid.complete('used')).toMatchObject({ scheme: 'exact', amountAtomic: 10_000n })
})
