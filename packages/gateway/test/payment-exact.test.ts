import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodePaymentResponseHeader } from '@x402/core/http'
import { startTestChain, payerBalanceAtomic, type TestChain } from './payment/chain-process.ts'
import { balanceOf, bytesOf, startExact } from './payment/exact-scheme.ts'
import { signStockPayment, withPayment } from './payment/payer.ts'
import { createRequest, expectAdmitted, expectRefused } from './payment/requests.ts'
import { toHex } from '@countersign/protocol/bytes/text-encoding'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

test('a stock payment settles once, releases the answer and stands in the charge', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const payment = await signStockPayment(scheme, payer, createRequest({}))
  const request = withPayment(createRequest({}), payment)
  const admitted = expectAdmitted(await scheme.admit(request))
  const release = await admitted.release()
  if (release.kind !== 'released') throw new Error(JSON.stringify(release))
  const settled = decodePaymentResponseHeader(release.headers['payment-response'] ?? '')
  expect(settled).toMatchObject({ success: true, payer: payer.address, network: 'eip155:84532' })
  const charge = await admitted.complete('used')
  expect(charge).toMatchObject({
    scheme: 'exact',
    amountAtomic: 10_000n,
    settlementTransaction: bytesOf(settled.transaction),
  })
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
  expect([...proxy.broadcasts.values()].map(({ length }) => length)).toEqual([1])
  const again = await scheme.admit({ ...request, receiptId: new Uint8Array(16) })
  expect(again).toMatchObject({ kind: 'replay', receiptId: toHex(request.receiptId) })
  const other = await scheme.admit(withPayment(createRequest({}, { body: 'other' }), payment))
  expect(expectRefused(other).code).toBe('payment-request-mismatch')
})
