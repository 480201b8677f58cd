import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createChainReader } from '@countersign/client'
import { readRequest } from '../src/outgoing-request.ts'
import { createPriceCheck, type PriceBounds } from '../src/pay/advertised-prices.ts'
import { parsePaymentRequired } from '../src/pay/payment-required.ts'
import { refusalOf } from './kit/fetch-fixture.ts'
import { present } from './kit/present-value.ts'
import { testOffer } from './kit/wire-gateway.ts'

let server: Server
let origin: string
let answer: unknown
let asked = 0

beforeAll(async () => {
  server = createServer((_, response) => {
    asked += 1
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})
afterAll(async () => {
  server.close()
  await once(server, 'close')
})
beforeEach(() => {
  asked = 0
  answer = { data: [{ id: 'm', price: metered }] }
})

const metered = {
  amount: '5',
  per: 'call',
  perMillion: [
    { aboveInput: 0, rates: { input: '1000000', output: '2000000', 'web-search': '3000000' } },
    { aboveInput: 100_000, rates: { input: '9000000' } },
  ],
}
const body = JSON.stringify({ model: 'm', max_tokens: 100, n: 2 })
// Bytes and 2,048 of input, two answers of 100, sixteen searches, and 5 for the call.
const bound = BigInt(body.length + 2048 + 2 * 2 * 100 + 3 * 16 + 5)

function offerOf(amount: bigint) {
  const accepts = [{ ...testOffer, amount: `${amount}` }]
  const header = Buffer.from(JSON.stringify({ x402Version: 2, accepts })).toString('base64')
  return present(parsePaymentRequired(header).offers[0], 'offer')
}

async function judge(amount: bigint, text = body, bounds: PriceBounds = {}): Promise<string> {
  const check = createPriceCheck(
    bounds,
    (url, init) => fetch(url, init),
    () => 0,
  )
  const request = await readRequest(`${origin}/v1/chat/completions`, { method: 'POST', body: text })
  return check({ request, offer: offerOf(amount) }).then(
    () => 'accepted',
    () => refusalOf(check({ request, offer: offerOf(amount) })),
  )
}

test('an offer may be as high as what the list and the request give, and no higher', async () => {
  expect(await judge(bound)).toBe('accepted')
  expect(await judge(bound + 1n)).toBe('price-above-sheet')
  expect(await judge(bound + 7n, body, { moreInputTokens: 7 })).toBe('accepted')
  expect(await judge(bound, body, { maxUses: 15 })).toBe('price-above-sheet')
  const unlimited = JSON.stringify({ model: 'm' })
  const most = BigInt(unlimited.length + 2048 + 2 * 131_072 + 48 + 5)
  expect(await judge(most, unlimited)).toBe('accepted')
  expect(await judge(most + 1n, unlimited)).toBe('price-above-sheet')
  expect(await judge(most, unlimited, { maxOutputTokens: 131_071 })).toBe('price-above-sheet')
})

async function judgeMost(request: object, output: number): Promise<string> {
  const text = JSON.stringify({ model: 'm', ...request })
  const most = BigInt(text.length + 2048 + 2 * output + 48 + 5)
  expect(await judge(most + 1n, text)).toBe('price-above-sheet')
  return judge(most, text)
}

test('several prompts are answered one by one, and a limit of 0 is none', async () => {
  expect(await judgeMost({ max_tokens: 100, prompt: ['a', 'b', 'c'] }, 300)).toBe('accepted')
  expect(await judgeMost({ max_tokens: 100, prompt: [1, 2, 3] }, 100)).toBe('accepted')
  expect(await judgeMost({ max_tokens: 0 }, 131_072)).toBe('accepted')
  // As the gateway does with its own limit.
  expect(await judgeMost({ n: 3, prompt: ['a', 'b'] }, 6 * 131_072)).toBe('accepted')
})

test('a list is asked for once, and again before an offer is refused', async () => {
  const check = createPriceCheck(
    {},
    (url, init) => fetch(url, init),
    () => 0,
  )
  const request = await readRequest(`${origin}/v1/chat/completions`, { method: 'POST', body })
  await check({ request, offer: offerOf(1n) })
  await check({ request, offer: offerOf(2n) })
  expect(asked).toBe(1)
  expect(await refusalOf(check({ request, offer: offerOf(bound + 1n) }))).toBe('price-above-sheet')
  expect(asked).toBe(2)
  answer = { data: [{ id: 'm', price: { amount: '99999', per: 'call' } }] }
  await check({ request, offer: offerOf(bound + 1n) })
})

test.each<readonly [string, unknown]>([
  ['price-not-advertised', { data: [] }],
  ['price-not-advertised', { data: [{ id: 'm', price: null }] }],
  ['price-not-advertised', { data: [{ id: 'm', price: { amount: '1.5' } }] }],
  ['price-not-advertised', { data: [{ id: 'm', price: { amount: '5', perMillion: {} } }] }],
  ['price-not-advertised', { data: [{ id: 'm', price: { amount: '5', perMillion: [{}] } }] }],
  [
    'price-not-advertised',
    {
      data: [
        { id: 'm', price: { amount: '5', perMillion: [{ aboveInput: 0, rates: { input: 1 } }] } },
      ],
    },
  ],
  ['price-unavailable', {}],
  ['price-unavailable', 'no JSON'],
])('%s: %j', async (code, list) => {
  answer = list
  expect(await judge(1n)).toBe(code)
})

test('what a node answers is read strictly', async () => {
  const reader = createChainReader(origin)
  for (const result of ['0x', '0x01', 1, null, '0x0g', `0x${'1'.repeat(20)}`]) {
    answer = { jsonrpc: '2.0', id: 1, result }
    expect(await refusalOf(reader.chainId())).toBe('chain-unreachable')
  }
  for (const result of ['0x0', '0xzz', null, [{}]]) {
    answer = { jsonrpc: '2.0', id: 1, result }
    expect(await refusalOf(reader.call('0x', '0x'))).toBe('chain-unreachable')
    expect(await refusalOf(reader.getLogs('0x', '0x', 0n))).toBe('chain-unreachable')
  }
  answer = { jsonrpc: '2.0', id: 1, error: { code: 3, message: 'execution reverted' } }
  expect(await refusalOf(reader.call('0x', '0x'))).toBe('chain-unreachable')
  answer = { jsonrpc: '2.0', id: 1, result: '0x14a34' }
  expect(await reader.chainId()).toBe(84_532n)
  expect(await refusalOf(createChainReader('http://127.0.0.1:1').chainId())).toBe(
    'chain-unreachable',
  )
})
