/** What a hostile gateway may offer or say, and that nothing is signed for it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { createChainReader, type ChainReader } from '@countersign/client'
import { createPayeeCheck } from '@countersign/client/payee-check'
import { refusalOf } from './kit/fetch-fixture.ts'
import { paymentIn } from './kit/chat-request.ts'
import {
  callOnce,
  createPayer,
  recordPayments,
  startMeteredFixture,
  type MeteredFixture,
} from './kit/metered-fixture.ts'

type Json = Record<string, unknown>
type Offer = Json & { readonly scheme: string; readonly extra: Json }

const channels = { depositAtomic: 30_000n }
const stranger = `0x${'Ab'.repeat(20)}`
let fixture: MeteredFixture
let approved: Hex

beforeAll(async () => {
  fixture = await startMeteredFixture()
  approved = await fixture.network.createPayer()
})
afterAll(() => fixture.stop())

/** A gateway whose every 402 has its offers changed. */
function changeOffers(change: (offer: Offer) => Offer): {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  readonly seen: readonly unknown[]
} {
  const { fetch, seen } = recordPayments()
  return {
    seen,
    fetch: async (url, init) => rewrite(await fetch(url, init), change),
  }
}

async function rewrite(response: Response, change: (offer: Offer) => Offer): Promise<Response> {
  const header = response.headers.get('payment-required')
  if (header === null) return response
  const required: Json & { readonly accepts: readonly Offer[] } = JSON.parse(
    Buffer.from(header, 'base64').toString(),
  )
  const changed = { ...required, accepts: required.accepts.map(change) }
  const headers = new Headers(response.headers)
  headers.set('payment-required', Buffer.from(JSON.stringify(changed)).toString('base64'))
  return new Response(await response.arrayBuffer(), { status: response.status, headers })
}

const inExtra =
  (members: Json) =>
  (offer: Offer): Offer => ({ ...offer, extra: { ...offer.extra, ...members } })

test.each<readonly [string, string, (offer: Offer) => Offer]>([
  ['price-above-sheet', 'a price above the list', (offer) => ({ ...offer, amount: '19000' })],
  ['amount-above-limit', 'a price above the limit', (offer) => ({ ...offer, amount: '20001' })],
  ['payee-foreign', 'another payee', (offer) => ({ ...offer, payTo: stranger })],
  ['asset-not-allowed', 'another token', (offer) => ({ ...offer, asset: stranger })],
  [
    'network-not-allowed',
    'another chain',
    (offer) => ({
      ...offer,
      network: 'eip155:8453',
      asset: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913',
      extra: { ...offer.extra, name: 'USD Coin' },
    }),
  ],
  ['token-domain-mismatch', 'another domain of the token', inExtra({ name: 'Fake' })],
  [
    'payee-foreign',
    'another authorizer and settler',
    inExtra({
      receiverAuthorizer: stranger,
      facilitatorAddress: stranger,
    }),
  ],
])('refuses by %s: %s', async (code, _, change) => {
  for (const [key, options] of [
    [fixture.network.createChannelPayer(), { channels }],
    [approved, { upto: true }],
  ] as const) {
    const { fetch, seen } = changeOffers(change)
    const paidFetch = createPayer(fixture, key, { ...options, fetch })
    expect(await refusalOf(callOnce(paidFetch, fixture))).toBe(code)
    expect(seen).toEqual([])
    expect(paidFetch.signedAtomic()).toBe(0n)
  }
})

test.each<readonly [string, string, Partial<ChainReader>]>([
  ['chain-mismatch', 'another chain', { chainId: () => Promise.resolve(1n) }],
  ['payee-foreign', 'no code', { getCode: () => Promise.resolve('0x') }],
])('refuses by %s: a node that shows %s', async (code, _, lie) => {
  const { network, operator } = fixture
  const name = 'eip155:84532'
  const reader = { ...createChainReader(network.chain.rpcUrl), ...lie }
  const { fetch, seen } = recordPayments()
  const trusted = { network: name, ...operator.terms, trustsProposers: true }
  const paidFetch = createPayer(fixture, approved, {
    upto: true,
    fetch,
    chains: { [name]: reader },
    checkPayee: createPayeeCheck({ operators: [trusted], readers: { [name]: reader } }),
  })
  expect(await refusalOf(callOnce(paidFetch, fixture))).toBe(code)
  expect(seen).toEqual([])
})

test('refuses a channel that a key could be claimed from before a withdrawal ends', async () => {
  const { network, operator } = fixture
  const name = 'eip155:84532'
  const reader = createChainReader(network.chain.rpcUrl)
  const checkPayee = createPayeeCheck({
    operators: [{ network: name, ...operator.terms }],
    readers: { [name]: reader },
  })
  const { fetch, seen } = recordPayments()
  const key = network.createChannelPayer()
  const paidFetch = createPayer(fixture, key, { channels, fetch, checkPayee })
  expect(await refusalOf(callOnce(paidFetch, fixture))).toBe('withdraw-delay-too-long')
  expect(seen).toEqual([])
})

test('terms that change with every call lock no more than one gateway may have', async () => {
  let delay = 900
  const { fetch, seen } = changeOffers((offer) => inExtra({ withdrawDelay: delay++ })(offer))
  const key = fixture.network.createChannelPayer()
  const paidFetch = createPayer(fixture, key, { channels, fetch })
  const pay = (): Promise<unknown> => callOnce(paidFetch, fixture).catch((error: unknown) => error)
  await Promise.all(Array.from({ length: 4 }, pay))
  for (let call = 0; call < 2; call++) await pay()
  // Each is another channel, and wants a deposit of 30,000.
  expect(delay).toBeGreaterThan(905)
  expect(seen.length).toBe(2)
  expect(await refusalOf(callOnce(paidFetch, fixture))).toBe('deposit-above-limit')
})

const lies: readonly (readonly [string, (channelId: string) => Promise<Json>])[] = [
  ['more was charged than was signed', (channelId) => Promise.resolve(stateOf(channelId, '20000'))],
  ['of another channel', () => Promise.resolve(stateOf(`0x${'77'.repeat(32)}`, '1'))],
  [
    'more was charged, by the voucher of another key',
    async (channelId) => ({
      ...stateOf(channelId, '20000'),
      voucherState: {
        signedMaxClaimable: '25000',
        signature: await privateKeyToAccount(`0x${'11'.repeat(32)}`).signTypedData({
          domain: {
            name: 'x402 Batch Settlement',
            version: '1',
            chainId: 84_532,
            verifyingContract: '0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003',
          },
          types: {
            Voucher: [
              { name: 'channelId', type: 'bytes32' },
              { name: 'maxClaimableAmount', type: 'uint128' },
            ],
          },
          primaryType: 'Voucher',
          message: { channelId: `0x${channelId.slice(2)}`, maxClaimableAmount: 25_000n },
        }),
      },
    }),
  ],
  [
    'more, without a signature that is one',
    (channelId) =>
      Promise.resolve({
        ...stateOf(channelId, '20000'),
        voucherState: { signedMaxClaimable: '25000', signature: '0x' },
      }),
  ],
]

function stateOf(channelId: string, charged: string): Json {
  return {
    channelState: {
      channelId,
      balance: '30000',
      totalClaimed: '0',
      withdrawRequestedAt: 0,
      refundNonce: '0',
      chargedCumulativeAmount: charged,
    },
    reservedAmount: '0',
  }
}

test.each(lies)('believes no correction that says: %s', async (_, createLie) => {
  const key = fixture.network.createChannelPayer()
  let isLying = false
  let sent = 0
  const paidFetch = createPayer(fixture, key, {
    channels,
    fetch: async (url, init) => {
      const payment = paymentIn(init)
      if (payment !== undefined) sent += 1
      if (payment === undefined || !isLying) return fetch(url, init)
      const headers = new Headers(init.headers)
      headers.delete('payment-signature')
      const asked = await fetch(url, { ...init, headers })
      const lie = await createLie(payment.payload.voucher?.channelId ?? '')
      return rewrite(asked, inExtra(lie))
    },
  })
  await callOnce(paidFetch, fixture)
  const signedBefore = paidFetch.signedAtomic()
  isLying = true
  sent = 0
  expect(await refusalOf(callOnce(paidFetch, fixture))).toBe('channel-correction-false')
  // One voucher went out, as always; none for what the lie asked for.
  expect(sent).toBe(1)
  expect(paidFetch.signedAtomic() - signedBefore).toBeLessThan(5000n)
})

test('limits of a day hold for calls at once, and over a restart', async () => {
  const key = fixture.network.createChannelPayer()
  const { fetch, seen } = recordPayments()
  const host = fixture.gateway.url
  let kept: Uint8Array | undefined
  const state = {
    read: () => Promise.resolve(kept),
    write: (bytes: Uint8Array) => {
      kept = bytes
      return Promise.resolve()
    },
  }
  const rules = [{ host, perDayAtomic: 6000n }]
  const options = { channels, fetch, state, rules }
  const paidFetch = createPayer(fixture, key, options)
  const calls = Array.from({ length: 5 }, () => callOnce(paidFetch, fixture))
  const settled = await Promise.allSettled(calls)
  const refused = settled.filter(({ status }) => status === 'rejected')
  expect(refused.length).toBeGreaterThan(0)
  expect(refused.length).toBeLessThan(5)
  const highest = (): bigint =>
    seen.reduce((most, { ceiling = 0n }) => (ceiling > most ? ceiling : most), 0n)
  expect(highest()).toBeLessThanOrEqual(6000n)
  const again = createPayer(fixture, key, {
    ...options,
    rules: [{ host, perDayAtomic: highest() }],
  })
  expect(await refusalOf(callOnce(again, fixture))).toBe('day-limit-reached')
})
