/** The whole way: unmodified clients, a real chain, a real gateway, receipts that verify offline. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ExactEvmScheme } from '@x402/evm'
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from '@x402/fetch'
import OpenAI from 'openai'
import { createPublicClient, http, parseAbi } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countersignFetch, type VerifiedReceipt } from '@countersign/client'
import { defaultPolicy, productionPolicy, verify, type Verdict } from '@countersign/protocol'
import { parseBundle } from '@countersign/protocol/verify/bundle'
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import type { Charge } from '@countersign/protocol/receipt/charge'
import { startNetwork, type Network } from '../packages/client/src/network/start-network.ts'
import { startLoopbackProvider } from './provider/start.ts'

const usdc = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'
const priceAtomic = 10_000n

let provider: Awaited<ReturnType<typeof startLoopbackProvider>>
let network: Network
let dataDir: string

async function start(): Promise<void> {
  network = await startNetwork({
    dataDir,
    upstream: { name: 'loopback', baseUrl: provider.url, caFile: provider.caFile, models: ['*'] },
    port: 0,
    priceAtomic,
    environment: process.env,
  })
}

beforeAll(async () => {
  provider = await startLoopbackProvider({ delayMs: 2 })
  dataDir = await mkdtemp(join(tmpdir(), 'countersign-end-to-end-'))
  await start()
})

afterAll(async () => {
  await network.stop()
  await provider.stop()
  await rm(dataDir, { recursive: true, force: true })
})

function stockFetch(): typeof fetch {
  return wrapFetchWithPaymentFromConfig(fetch, {
    schemes: [{ network: 'eip155:84532', client: new ExactEvmScheme(network.wallet) }],
  })
}

function chatBody(model: string, content: string, stream: boolean): string {
  return JSON.stringify({ model, messages: [{ role: 'user', content }], stream })
}

type Answer = {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array
  readonly bundle: Uint8Array
  readonly verdict: Verdict
  readonly charge: Charge
}

async function post(
  send: typeof fetch,
  body: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await send(`${network.baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  })
  const bytes = new Uint8Array(await response.arrayBuffer())
  return readAnswer(response.status, response.headers, bytes, body)
}

async function readAnswer(
  status: number,
  headers: Headers,
  body: Uint8Array,
  request: string,
): Promise<Answer> {
  const id = headers.get('x-receipt-id') ?? ''
  const token = headers.get('x-receipt-token') ?? ''
  const url = `${network.baseUrl}/receipts/${id}?wait=60`
  const fetched = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
  const bundle = new Uint8Array(await fetched.arrayBuffer())
  const held = { request: new TextEncoder().encode(request), response: body }
  const verdict = await verify(bundle, defaultPolicy, Date.now(), held)
  const { payload } = parseStatement(parseBundle(bundle).statement)
  if (payload.type === 'keyset') throw new Error('a receipt was expected')
  return { status, headers, body, bundle, verdict, charge: payload.charge }
}

function toHex(bytes: Uint8Array | undefined): string {
  return `0x${Buffer.from(bytes ?? []).toString('hex')}`
}

async function payeeBalance(payTo: string): Promise<bigint> {
  const client = createPublicClient({ transport: http(network.rpcUrl) })
  return client.readContract({
    address: usdc,
    abi: parseAbi(['function balanceOf(address) view returns (uint256)']),
    functionName: 'balanceOf',
    args: [`0x${payTo.slice(2)}`],
  })
}

async function readOffer(body: string): Promise<{ readonly payTo: string }> {
  const response = await fetch(`${network.baseUrl}/chat/completions`, { method: 'POST', body })
  expect(response.status).toBe(402)
  const quote: {
    readonly accepts: readonly { readonly scheme: string; readonly payTo: string }[]
  } = JSON.parse(Buffer.from(response.headers.get('payment-required') ?? '', 'base64').toString())
  expect(quote).toMatchObject({ x402Version: 2 })
  const { payTo = '' } = quote.accepts.find(({ scheme }) => scheme === 'exact') ?? {}
  expect(payTo).toMatch(/^0x[0-9a-fA-F]{40}$/)
  return { payTo }
}

test('an unmodified x402 client pays for a stream, and the receipt names the settlement on chain', async () => {
  const body = chatBody('loopback-echo', 'Is invoice 17 approved?', true)
  const { payTo } = await readOffer(body)
  const before = await payeeBalance(payTo)
  const answer = await post(stockFetch(), body)
  expect(answer.status).toBe(200)
  expect(new TextDecoder().decode(answer.body)).toContain('data: [DONE]')
  expect(answer.verdict).toMatchObject({ verdict: 'valid', level: 'L1-SIMULATED' })
  const response = decodePaymentResponseHeader(answer.headers.get('payment-response') ?? '')
  expect(response).toMatchObject({ success: true, network: 'eip155:84532' })
  expect(answer.charge).toMatchObject({ scheme: 'exact', amountAtomic: priceAtomic })
  const { charge } = answer
  const settlement = charge.scheme === 'exact' ? toHex(charge.settlementTransaction) : ''
  expect(settlement).toBe(response.transaction.toLowerCase())
  const client = createPublicClient({ transport: http(network.rpcUrl) })
  const mined = await client.getTransactionReceipt({ hash: `0x${settlement.slice(2)}` })
  expect(mined.status).toBe('success')
  expect(await payeeBalance(payTo)).toBe(before + priceAtomic)
})

test('the production policy refuses the same receipt, because its evidence is simulated', async () => {
  const answer = await post(stockFetch(), chatBody('loopback-echo', 'Who signs?', false))
  const verdict = await verify(answer.bundle, productionPolicy, Date.now())
  expect(verdict.verdict).toBe('invalid')
  expect(verdict.checks).toContainEqual(
    expect.objectContaining({ id: 'evidence-accepted', code: 'evidence-kind-refused' }),
  )
})

test('the openai client streams through the paying fetch and gets a verified receipt', async () => {
  const receipts = Promise.withResolvers<VerifiedReceipt>()
  const paidFetch = countersignFetch({
    baseUrl: network.baseUrl,
    account: network.wallet,
    maxAmountAtomic: 50_000n,
    budgetAtomic: 100_000n,
    onReceipt: receipts.resolve,
    onReceiptError: receipts.reject,
  })
  const openai = new OpenAI({ baseURL: network.baseUrl, apiKey: 'unused', fetch: paidFetch })
  const stream = await openai.chat.completions.create({
    model: 'loopback-echo',
    messages: [{ role: 'user', content: 'Stream through the client' }],
    stream: true,
  })
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  expect(text).toContain('Stream through the client')
  const receipt = await receipts.promise
  expect(receipt.verdict.verdict).toBe('valid')
  expect(receipt.chargedAtomic).toBe(priceAtomic)
  expect(receipt.settlementTransaction).toMatch(/^0x[0-9a-f]{64}$/)
})

test('one payment raced twenty times buys one call', async () => {
  const body = chatBody('loopback-echo', 'Race me', false)
  const payments: string[] = []
  const capture: typeof fetch = async (input, init) => {
    const request = new Request(input, init)
    const payment = request.headers.get('payment-signature')
    if (payment === null) return fetch(request)
    payments.push(payment)
    return new Response('{}', { status: 200 })
  }
  const capturing = wrapFetchWithPaymentFromConfig(capture, {
    schemes: [{ network: 'eip155:84532', client: new ExactEvmScheme(network.wallet) }],
  })
  await capturing(`${network.baseUrl}/chat/completions`, { method: 'POST', body })
  const [payment = ''] = payments
  await provider.reset()
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => post(fetch, body, { 'payment-signature': payment })),
  )
  const served = answers.filter(({ status }) => status === 200)
  const charged = answers.filter(({ charge }) => charge.amountAtomic > 0n)
  const log = await provider.log()
  expect(served.length).toBeGreaterThanOrEqual(1)
  expect(new Set(charged.map(({ headers }) => headers.get('x-receipt-id'))).size).toBe(1)
  expect(log.filter(({ path }) => path.endsWith('/chat/completions'))).toHaveLength(1)
  expect(answers.filter(({ status }) => status !== 200).every(({ status }) => status === 402)).toBe(
    true,
  )
  for (const { verdict } of answers) expect(verdict.verdict).toBe('valid')
})

test('a call that the upstream fails is not charged, and its payment stays good for the same request', async () => {
  const body = chatBody('hostile-status-500', 'Fail me', false)
  let payment = ''
  const spying: typeof fetch = async (input, init) => {
    const request = new Request(input, init)
    payment = request.headers.get('payment-signature') ?? payment
    return fetch(request)
  }
  const send = wrapFetchWithPaymentFromConfig(spying, {
    schemes: [{ network: 'eip155:84532', client: new ExactEvmScheme(network.wallet) }],
  })
  const { payTo } = await readOffer(body)
  const before = await payeeBalance(payTo)
  const first = await post(send, body)
  expect(first.status).toBe(500)
  expect(first.charge).toMatchObject({ scheme: 'exact', amountAtomic: 0n })
  const again = await post(fetch, body, { 'payment-signature': payment })
  expect(again.status).toBe(500)
  expect(again.charge).toMatchObject({ scheme: 'exact', amountAtomic: 0n })
  expect(await payeeBalance(payTo)).toBe(before + priceAtomic)
  const other = chatBody('loopback-echo', 'Another request', false)
  const stolen = await post(fetch, other, { 'payment-signature': payment })
  expect(stolen.status).toBe(402)
  expect(new TextDecoder().decode(stolen.body)).toContain('payment-request-mismatch')
})

test('receipts outlive a restart of the whole network, and the next keyset names the last', async () => {
  const answer = await post(stockFetch(), chatBody('loopback-echo', 'Before the restart', true))
  const id = answer.headers.get('x-receipt-id') ?? ''
  const token = answer.headers.get('x-receipt-token') ?? ''
  await network.stop()
  await start()
  const fetched = await fetch(`${network.baseUrl}/receipts/${id}`, {
    headers: { authorization: `Bearer ${token}` },
  })
  expect(new Uint8Array(await fetched.arrayBuffer())).toEqual(answer.bundle)
  const next = await post(stockFetch(), chatBody('loopback-echo', 'After the restart', false))
  expect(next.verdict.verdict).toBe('valid')
  expect(keysetOf(next.bundle).previous).toEqual(keysetOf(answer.bundle).digest)
})

function keysetOf(bundle: Uint8Array): {
  readonly digest: Uint8Array
  readonly previous: Uint8Array | undefined
} {
  const { payload } = parseStatement(parseBundle(bundle).keyset)
  if (payload.type !== 'keyset') throw new Error('a keyset was expected')
  return {
    digest: payload.keysetDigest,
    previous: parseKeyset(payload.document).previousKeysetDigest,
  }
}
