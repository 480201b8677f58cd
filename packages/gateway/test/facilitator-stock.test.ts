import { decodePaymentResponseHeader } from '@x402/fetch'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { keccak256, toHex, type Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  clientKey,
  clientKeySha256,
  createFacilitatorSetup,
} from './facilitator/facilitator-process.ts'
import { createStockBuyer, openStockShop } from './facilitator/stock-shop.ts'
import { balanceOf, createApprovedPayer } from './payment/approved-payer.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { nextPayerKey } from './payment/channel-fixture.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

let payees = 0
const nextPayee = (): { readonly payTo: Hex; readonly authorizerKey: Hex } => {
  const authorizerKey = keccak256(toHex(`shop ${payees++}`))
  return { authorizerKey, payTo: privateKeyToAddress(authorizerKey) }
}

function receiptOf(response: Response): ReturnType<typeof decodePaymentResponseHeader> {
  return decodePaymentResponseHeader(response.headers.get('payment-response') ?? '')
}

test('a stock server is paid by a stock client through it: exact', async () => {
  const { url } = await createFacilitatorSetup(chain).start()
  const payee = nextPayee()
  const shop = openStockShop({ url }, payee)
  const response = await createStockBuyer(chain, nextPayerKey(chain)).buy(shop, '/exact')
  expect([response.status, await response.text()]).toEqual([200, 'the goods'])
  expect(receiptOf(response)).toMatchObject({ success: true, network: 'eip155:84532' })
  expect(await balanceOf(chain, payee.payTo)).toBe(3000n)
})

test('a stock server is paid by a stock client through it: upto, of which it charges a part', async () => {
  const url = await createFacilitatorSetup(chain).serve()
  const payee = nextPayee()
  const shop = openStockShop({ url }, payee)
  const buyer = createStockBuyer(chain, await createApprovedPayer(chain))
  const response = await buyer.buy(shop, '/upto')
  expect([response.status, await response.text()]).toEqual([200, 'the goods'])
  expect(receiptOf(response)).toMatchObject({ success: true, amount: '1234' })
  expect(await balanceOf(chain, payee.payTo)).toBe(1234n)
})

test('an upto charge of 0 sends nothing and uses up the payment', async () => {
  const url = await createFacilitatorSetup(chain).serve()
  const payee = nextPayee()
  const shop = openStockShop({ url }, payee, '0')
  const buyer = createStockBuyer(chain, await createApprovedPayer(chain))
  const settle = vi.spyOn(shop.facilitator, 'settle')
  const response = await buyer.buy(shop, '/upto')
  expect(receiptOf(response)).toMatchObject({ success: true, transaction: '', amount: '0' })
  expect(await balanceOf(chain, payee.payTo)).toBe(0n)
  const [payment, requirements] = settle.mock.calls[0] ?? []
  if (payment === undefined || requirements === undefined) throw new Error('nothing was settled')
  const verdict = await shop.facilitator.verify(payment, payment.accepted)
  expect(verdict).toMatchObject({ isValid: false, invalidReason: 'permit2_invalid_nonce' })
  const again = await shop.facilitator.settle(payment, { ...requirements, amount: '4000' })
  expect(again).toMatchObject({ success: false, errorReason: 'permit2_invalid_nonce' })
})

test('a stock server runs a channel through it: deposit, vouchers, claim, settlement, refund', async () => {
  const url = await createFacilitatorSetup(chain).serve()
  const payee = nextPayee()
  const shop = openStockShop({ url }, payee)
  const key = nextPayerKey(chain)
  const buyer = createStockBuyer(chain, key)
  const paid = privateKeyToAddress(key)
  for (let call = 0; call < 3; call++) {
    const response = await buyer.buy(shop, '/batch')
    expect([response.status, await response.text()], String(call)).toEqual([200, 'the goods'])
  }
  expect(await balanceOf(chain, paid)).toBe(60_000n)
  const asset = baseSepoliaUsdc.address
  const manager = shop.batch.createChannelManager(shop.facilitator, 'eip155:84532', asset)
  const [claim] = await manager.claim()
  expect(claim).toMatchObject({ vouchers: 1 })
  const { transaction } = await manager.settle()
  await chain.mined(transaction)
  expect(await balanceOf(chain, payee.payTo)).toBe(3702n)
  await expect(manager.settle()).rejects.toThrow('nothing_to_settle')
  // Its last call is claimed with the refund.
  await buyer.buy(shop, '/batch')
  const [refund] = await manager.refund()
  expect(refund).toBeDefined()
  expect(await balanceOf(chain, paid)).toBe(100_000n - 4n * 1234n)
})

test('it says what it supports, to servers that it knows', async () => {
  const setup = createFacilitatorSetup(chain)
  const url = await setup.serve({
    anonymous: false,
    clients: [{ name: 'shop', keySha256: clientKeySha256 }],
  })
  const payee = nextPayee()
  const buyer = createStockBuyer(chain, nextPayerKey(chain))
  const stranger = openStockShop({ url }, payee)
  const refused = await buyer.buy(stranger, '/exact').catch((error: unknown) => String(error))
  expect(refused).not.toMatchObject({ status: 200 })
  expect(stranger.runs()).toBe(0)
  const headers = { Authorization: `Bearer ${clientKey}` }
  const createAuthHeaders = () =>
    Promise.resolve({ verify: headers, settle: headers, supported: headers })
  const shop = openStockShop({ url, createAuthHeaders }, payee)
  expect((await buyer.buy(shop, '/exact')).status).toBe(200)
  const supported: unknown = await (await fetch(`${url}/supported`)).json()
  expect(supported).toEqual({
    kinds: [
      { x402Version: 2, scheme: 'exact', network: 'eip155:84532' },
      {
        x402Version: 2,
        scheme: 'upto',
        network: 'eip155:84532',
        extra: { facilitatorAddress: expect.stringMatching(/^0x[0-9a-fA-F]{40}$/) },
      },
      // No receiverAuthorizer: servers keep that key.
      { x402Version: 2, scheme: 'batch-settlement', network: 'eip155:84532' },
    ],
    extensions: [],
    signers: { 'eip155:84532': [expect.stringMatching(/^0x[0-9a-fA-F]{40}$/)] },
  })
})
