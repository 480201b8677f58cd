import OpenAI from 'openai'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { recoverTypedDataAddress, type Hex } from 'viem'
import { toHex, fromHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { createPaymentNonce, hashRequest } from '@countersign/protocol/payment/request-nonce'
import { countersignFetch, type VerifiedReceipt, type WalletOptions } from '@countersign/client'
import { account, chat, post, refusalOf, wallet } from './kit/fetch-fixture.ts'
import { present } from './kit/present-value.ts'
import { startWireGateway, testOffer, type WireGateway } from './kit/wire-gateway.ts'

let gateway: WireGateway

beforeEach(async () => {
  gateway = await startWireGateway()
})
afterEach(() => gateway.close())

test('the openai client streams through it unmodified, and the receipt is valid', async () => {
  const receipts: VerifiedReceipt[] = []
  const fetch = countersignFetch({
    ...wallet,
    baseUrl: gateway.url,
    onReceipt: (receipt) => receipts.push(receipt),
  })
  const openai = new OpenAI({ baseURL: gateway.url, apiKey: 'key of a provider', fetch })
  const { data, response } = await openai.chat.completions
    .create({ ...chat, messages: [...chat.messages], stream: true })
    .withResponse()
  let text = ''
  for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? ''
  const receipt = await fetch.receiptOf(response)
  expect(text).toBe('Hello')
  expect(receipt.verdict.verdict).toBe('valid')
  expect(receipt.responseHeld).toBe('whole')
  expect(passed(receipt)).toEqual(
    expect.arrayContaining(['nonce', 'request-bytes', 'response-bytes', 'signature']),
  )
  expect(receipt.chargedAtomic).toBe(10_000n)
  expect(receipt.settlementTransaction).toBe(`0x${'07'.repeat(32)}`)
  expect(receipts).toEqual([receipt])
  expect(gateway.seen.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined])
})

test('the openai client gets a JSON answer, and the receipt is valid', async () => {
  gateway.behaviour.chunks = [
    '{"id":"1","object":"chat.completion","created":1,"model":"test-model",',
    '"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hello"}}]}',
  ]
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  const openai = new OpenAI({ baseURL: gateway.url, apiKey: 'unused', fetch })
  const { data, response } = await openai.chat.completions
    .create({ ...chat, messages: [...chat.messages] })
    .withResponse()
  expect(data.choices[0]?.message.content).toBe('Hello')
  expect((await fetch.receiptOf(response)).verdict.verdict).toBe('valid')
})

test('it can stand in the place of the global fetch, and then calls what stood there', async () => {
  const platformFetch = globalThis.fetch
  const receipts: VerifiedReceipt[] = []
  const onReceipt = (receipt: VerifiedReceipt): unknown => receipts.push(receipt)
  globalThis.fetch = countersignFetch({ ...wallet, baseUrl: gateway.url, onReceipt })
  onTestFinished(() => {
    globalThis.fetch = platformFetch
  })
  const openai = new OpenAI({ baseURL: gateway.url, apiKey: 'key of a provider' })
  const stream = await openai.chat.completions.create({
    ...chat,
    messages: [...chat.messages],
    stream: true,
  })
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  expect(text).toBe('Hello')
  await expect.poll(() => receipts.map(({ verdict }) => verdict.verdict)).toEqual(['valid'])
})

// A query is not part of what is bound (spec/payment.md PA4.2).
test.each(['', '?beta=true'])(
  'a payment is signed by the account and bound to the very request, with the query "%s"',
  async (query) => {
    const fetch = countersignFetch({
      ...wallet,
      baseUrl: gateway.url,
      now: () => 1_800_000_000_999,
    })
    await (await fetch(`${gateway.url}/chat/completions${query}`, post(true))).text()
    const paid = gateway.seen[1]
    const { authorization, signature } = present(paid?.payment, 'payment').payload
    const { info } = present(paid?.payment, 'payment').extensions['countersign-request']
    const requestHash = hashRequest(
      'POST',
      '/v1/chat/completions',
      sha256(Uint8Array.from(paid?.body ?? [])),
    )
    expect(info).toMatchObject({ version: 1, requestHash: toHex(requestHash) })
    const salt = present(fromHex(info.salt), 'salt in hex')
    expect(authorization.nonce).toBe(`0x${toHex(createPaymentNonce(requestHash, salt))}`)
    expect(authorization.validBefore).toBe('1800000120')
    const signer = await recoverTypedDataAddress({
      domain: { name: 'USDC', version: '2', chainId: 84_532, verifyingContract: testOffer.asset },
      types: {
        TransferWithAuthorization: [
          { name: 'from', type: 'address' },
          { name: 'to', type: 'address' },
          { name: 'value', type: 'uint256' },
          { name: 'validAfter', type: 'uint256' },
          { name: 'validBefore', type: 'uint256' },
          { name: 'nonce', type: 'bytes32' },
        ],
      },
      primaryType: 'TransferWithAuthorization',
      message: {
        from: account.address,
        to: testOffer.payTo,
        value: 10_000n,
        validAfter: 0n,
        validBefore: 1_800_000_120n,
        nonce: hex(authorization.nonce),
      },
      signature,
    })
    expect(signer).toBe(account.address)
    expect(authorization.from).toBe(account.address)
  },
)

test('later calls of the same model pay in one round trip, each with a nonce of its own', async () => {
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  for (let call = 0; call < 3; call++) {
    await (await fetch(`${gateway.url}/chat/completions`, post(true))).text()
  }
  const nonces = gateway.seen.map(({ payment }) => payment?.payload.authorization.nonce)
  expect(gateway.seen).toHaveLength(4)
  expect(new Set(nonces.slice(1)).size).toBe(3)
  expect(fetch.signedAtomic()).toBe(30_000n)
})

test('a price that changed is paid by one new payment when it is within the limit', async () => {
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  await (await fetch(`${gateway.url}/chat/completions`, post(true))).text()
  gateway.behaviour.offer = { ...testOffer, amount: '20000' }
  const response = await fetch(`${gateway.url}/chat/completions`, post(true))
  expect(response.status).toBe(200)
  expect(fetch.signedAtomic()).toBe(40_000n)
  // The gateway holds two signatures for this call: they have one nonce, so the token takes one of them.
  const [outdated, current] = gateway.seen.slice(2).map(({ payment }) => payment?.payload)
  expect(current?.authorization.value).toBe('20000')
  expect(current?.authorization.nonce).toBe(outdated?.authorization.nonce)
  gateway.behaviour.offer = { ...testOffer, amount: '20001' }
  const refused = fetch(`${gateway.url}/chat/completions`, post(true))
  expect(await refusalOf(refused)).toBe('amount-above-limit')
})

const refusedOffers: readonly (readonly [
  string,
  Readonly<Record<string, unknown>>,
  Partial<WalletOptions>,
])[] = [
  ['amount-above-limit', { amount: '20001' }, {}],
  ['network-not-allowed', { network: 'eip155:1' }, { networks: ['eip155:84532'] }],
  ['asset-not-allowed', { network: 'eip155:1' }, {}],
  ['asset-not-allowed', { asset: testOffer.payTo }, {}],
  ['token-domain-mismatch', { extra: { name: 'USD Coin', version: '2' } }, {}],
  ['token-domain-mismatch', { extra: { name: 'USDC', version: '1' } }, {}],
  ['payee-not-allowed', {}, { payTo: [testOffer.asset] }],
  ['offer-lifetime-too-long', { maxTimeoutSeconds: 601 }, {}],
  ['budget-exhausted', {}, { budgetAtomic: 9999n }],
  ['scheme-not-supported', { scheme: 'upto' }, {}],
  [
    'scheme-not-supported',
    { extra: { name: 'USDC', version: '2', assetTransferMethod: 'permit2' } },
    {},
  ],
  ['payment-required-malformed', { amount: '1e3' }, {}],
]
test.each(refusedOffers)('refuses with %s before signing: %j', async (code, offer, limits) => {
  let signatures = 0
  const counted = {
    address: account.address,
    signTypedData: (...[typedData]: Parameters<typeof account.signTypedData>) => {
      signatures++
      return account.signTypedData(typedData)
    },
  }
  gateway.behaviour.offer = { ...testOffer, ...offer }
  const fetch = countersignFetch({ ...wallet, ...limits, account: counted, baseUrl: gateway.url })
  expect(await refusalOf(fetch(`${gateway.url}/chat/completions`, post(true)))).toBe(code)
  expect(signatures).toBe(0)
  expect(gateway.seen).toHaveLength(1)
})

test('calls side by side never sign more than the budget', async () => {
  const fetch = countersignFetch({ ...wallet, budgetAtomic: 35_000n, baseUrl: gateway.url })
  const calls = await Promise.allSettled(
    Array.from({ length: 8 }, () => fetch(`${gateway.url}/chat/completions`, post(true))),
  )
  expect(calls.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
  expect(fetch.signedAtomic()).toBe(30_000n)
})

test('nothing is sent to a host that is not listed, and no redirect is followed', async () => {
  const other = await startWireGateway()
  try {
    const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
    expect(await refusalOf(fetch(`${other.url}/chat/completions`, post(true)))).toBe(
      'host-not-allowed',
    )
    const location = `${other.url}/chat/completions`
    gateway.behaviour.intercept = () => ({ status: 307, headers: { location } })
    expect(await refusalOf(fetch(`${gateway.url}/chat/completions`, post(true)))).toBe(
      'redirect-refused',
    )
    expect(other.seen).toEqual([])
  } finally {
    await other.close()
  }
})

test('a settlement that is not known yet repeats the same payment, and only that', async () => {
  let unknown = 2
  gateway.behaviour.intercept = ({ payment }) =>
    payment !== undefined && unknown-- > 0
      ? { status: 402, code: 'payment-settlement-unknown', headers: { 'retry-after': '2' } }
      : undefined
  const delays: number[] = []
  const fetch = countersignFetch({
    ...wallet,
    baseUrl: gateway.url,
    delay: async (milliseconds) => void delays.push(milliseconds),
  })
  const response = await fetch(`${gateway.url}/chat/completions`, post(true))
  await response.text()
  expect((await fetch.receiptOf(response)).verdict.verdict).toBe('valid')
  expect(delays).toEqual([2000, 2000])
  expect(
    new Set(gateway.seen.slice(1).map(({ headers }) => headers['payment-signature'])).size,
  ).toBe(1)
  expect(fetch.signedAtomic()).toBe(10_000n)
})

test('a payment whose call failed is shown again for the same request, and for no other', async () => {
  let failing = true
  gateway.behaviour.intercept = ({ payment }) =>
    payment !== undefined && failing ? { status: 502, code: 'upstream-failed' } : undefined
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  const failed = await fetch(`${gateway.url}/chat/completions`, post(true))
  expect(failed.status).toBe(502)
  failing = false
  await fetch(`${gateway.url}/chat/completions`, post(false))
  const again = await fetch(`${gateway.url}/chat/completions`, post(true))
  expect(again.status).toBe(200)
  const [first, other, same] = gateway.seen
    .slice(1)
    .map(({ headers }) => headers['payment-signature'])
  expect(same).toBe(first)
  expect(other).not.toBe(first)
  expect(fetch.signedAtomic()).toBe(20_000n)
})

test('a connection that breaks after paying keeps the payment for the same request', async () => {
  let breaking = true
  gateway.behaviour.intercept = ({ payment }) =>
    payment !== undefined && breaking ? { status: 0, reset: true } : undefined
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  await expect(fetch(`${gateway.url}/chat/completions`, post(true))).rejects.toThrow('fetch failed')
  breaking = false
  await (await fetch(`${gateway.url}/chat/completions`, post(true))).text()
  expect(fetch.signedAtomic()).toBe(10_000n)
})

test('a payment whose call still runs is neither replaced nor forgotten', async () => {
  let answer: string | undefined = 'upstream-failed'
  gateway.behaviour.intercept = ({ payment }) => {
    if (payment === undefined || answer === undefined) return undefined
    return { status: answer === 'upstream-failed' ? 502 : 402, code: answer }
  }
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  const statuses: number[] = []
  for (const next of ['upstream-failed', 'payment-in-progress', undefined]) {
    answer = next
    const response = await fetch(`${gateway.url}/chat/completions`, post(true))
    await response.text()
    statuses.push(response.status)
  }
  expect(statuses).toEqual([502, 402, 200])
  expect(fetch.signedAtomic()).toBe(10_000n)
})

test('a kept payment that the gateway no longer takes is replaced by one new one', async () => {
  let first: string | undefined
  gateway.behaviour.intercept = ({ headers, payment }) => {
    if (payment === undefined) return undefined
    first ??= String(headers['payment-signature'])
    if (headers['payment-signature'] !== first) return undefined
    return gateway.seen.length === 2
      ? { status: 502, code: 'upstream-failed' }
      : { status: 402, code: 'payment-already-used' }
  }
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  expect((await fetch(`${gateway.url}/chat/completions`, post(true))).status).toBe(502)
  expect((await fetch(`${gateway.url}/chat/completions`, post(true))).status).toBe(200)
  expect(fetch.signedAtomic()).toBe(20_000n)
})

test('a credit in the receipt is used up by the same request before anything new is signed', async () => {
  gateway.behaviour.charge = (charge) => ({ ...charge, amountAtomic: 0n })
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  for (let call = 0; call < 2; call++) {
    const response = await fetch(`${gateway.url}/chat/completions`, post(true))
    await response.text()
    const receipt = await fetch.receiptOf(response)
    expect(receipt).toMatchObject({ chargedAtomic: 0n, verdict: { verdict: 'valid' } })
  }
  const [, first, second] = gateway.seen.map(({ headers }) => headers['payment-signature'])
  expect(second).toBe(first)
  expect(fetch.signedAtomic()).toBe(10_000n)
})

test('an answer 402 to a paid call goes to the caller and is not paid again', async () => {
  gateway.behaviour.intercept = ({ payment }) =>
    payment === undefined ? undefined : { status: 402, code: 'payment-settlement-failed' }
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  const response = await fetch(`${gateway.url}/chat/completions`, post(true))
  expect(response.status).toBe(402)
  expect(await response.json()).toMatchObject({ error: { code: 'payment-settlement-failed' } })
  expect(gateway.seen).toHaveLength(2)
})

test('an API key replaces what the client sends as key', async () => {
  gateway.behaviour.offer = null
  const fetch = countersignFetch({ baseUrl: gateway.url, apiKey: 'csk_test' })
  const headers = { authorization: 'Bearer key of a provider' }
  const response = await fetch(`${gateway.url}/chat/completions`, { ...post(true), headers })
  await response.text()
  expect((await fetch.receiptOf(response)).verdict.verdict).toBe('valid')
  expect(gateway.seen.map((call) => call.headers.authorization)).toEqual(['Bearer csk_test'])
})

test('limits that are no bigint are refused at once', () => {
  expect(() =>
    // @ts-expect-error: a caller without types
    countersignFetch({ ...wallet, maxAmountAtomic: 20_000, baseUrl: gateway.url }),
  ).toThrow('options-invalid')
})

function passed({ verdict }: VerifiedReceipt): readonly string[] {
  return verdict.checks.filter(({ status }) => status === 'passed').map(({ id }) => id)
}

function hex(text: string): Hex {
  return `0x${text.slice(2)}`
}
