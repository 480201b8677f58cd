/** `upto` over HTTP: a real gateway process, a real chain, the unmodified client of the x402 packages. */
import { decodePaymentResponseHeader } from '@x402/core/http'
import { PaymentRequiredV2Schema } from '@x402/core/schemas'
import type { PaymentPayload } from '@x402/core/types'
import { wrapFetchWithPayment } from '@x402/fetch'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Hex } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../../../test/attacks/waiting.ts'
import type { RawResult } from '../../../test/provider/raw-client.ts'
import { startPlainLoopbackProvider, type LoopbackProvider } from '../../../test/provider/start.ts'
import {
  chatBody,
  createMeteredClient,
  post,
  quoteIn,
  signFor,
  startMeteredGateway,
  startMeteredNetwork,
  type MeteredNetwork,
  type MeteredOperator,
} from './payment/metered-network.ts'
import {
  expectVerified,
  fetchReceipt,
  judge,
  receiptOf,
  type FetchedReceipt,
} from './support/receipts.ts'
import { createGatewayFolder, type RunningGateway } from './support/start-gateway.ts'

let network: MeteredNetwork
let provider: LoopbackProvider
let operator: MeteredOperator
let gateway: RunningGateway
let key: Hex
const folder = createGatewayFolder()
/** Of every receipt that this file has seen: what the payee must have in the end. */
const charges = new Map<string, bigint>()

const start = (): Promise<RunningGateway> =>
  startMeteredGateway(network, operator, {
    providerUrl: provider.url,
    batch: null,
    exact: true,
    folder,
  })

beforeAll(async () => {
  network = await startMeteredNetwork()
  provider = await startPlainLoopbackProvider({ models: ['flat'] })
  const [created, payer] = await Promise.all([network.createOperator(), network.createPayer()])
  operator = created
  key = payer
  gateway = await start()
})
afterAll(async () => {
  await gateway.stop()
  await provider.stop()
  await network.chain.stop()
  rmSync(folder, { recursive: true })
})

function amountIn(answer: RawResult): string | undefined {
  const header = answer.trailers['payment-response'] ?? answer.headers['payment-response']
  return decodePaymentResponseHeader(String(header)).amount
}

function remember({ payload }: FetchedReceipt): FetchedReceipt['payload']['charge'] {
  const { charge, id } = payload
  charges.set(Buffer.from(id).toString('hex'), charge.amountAtomic)
  return charge
}

/** ME6: one atomic unit for an input token, two for one of output. */
function priceOf({ claims }: FetchedReceipt): bigint {
  const { metering } = claims
  if (typeof metering !== 'object' || metering === null || !('counts' in metering)) return -1n
  const { counts } = metering
  if (typeof counts !== 'object' || counts === null) return -1n
  const of = (name: string): number => {
    const [, count] = Object.entries(counts).find(([kind]) => kind === name) ?? []
    return typeof count === 'number' ? count : 0
  }
  return BigInt(of('input') + 2 * of('output'))
}

async function pay(body: string): Promise<PaymentPayload> {
  return signFor(createMeteredClient(network, key, 'upto'), gateway, body)
}

test('a stock client pays for JSON what was metered, and finds it in header and receipt', async () => {
  const body = chatBody('loopback-echo', false)
  const paidFetch = wrapFetchWithPayment(fetch, createMeteredClient(network, key, 'upto'))
  const url = `${gateway.url}/v1/chat/completions`
  const response = await paidFetch(url, { method: 'POST', body })
  expect(response.status).toBe(200)
  const answer = Buffer.from(await response.arrayBuffer())
  const { success, amount, transaction } = decodePaymentResponseHeader(
    response.headers.get('payment-response') ?? '',
  )
  const receipt = await expectVerified(
    gateway.url,
    { headers: Object.fromEntries(response.headers), body: answer },
    body,
  )
  const charge = remember(receipt)
  expect(charge).toMatchObject({ scheme: 'upto', network: 'eip155:84532' })
  expect(charge.amountAtomic).toBe(priceOf(receipt))
  expect(charge.amountAtomic).toBeGreaterThan(0n)
  expect({ success, amount, transaction }).toEqual({
    success: true,
    amount: `${charge.amountAtomic}`,
    transaction: '',
  })
})

test('a stream is charged at its end, in a trailer, and its first byte waits for no settlement', async () => {
  const body = chatBody('loopback-echo', true)
  const answer = await post(gateway, body, await pay(body))
  expect(answer.status).toBe(200)
  expect(answer.headers['payment-response']).toBeUndefined()
  const receipt = await expectVerified(gateway.url, answer, body)
  const { amountAtomic } = remember(receipt)
  expect(amountAtomic).toBe(priceOf(receipt))
  expect(amountIn(answer)).toBe(`${amountAtomic}`)
})

test('the 402 is an x402 offer; exact stands beside it for fixed prices only', async () => {
  const metered = quoteIn(await post(gateway, chatBody('loopback-echo', false)))
  const flat = quoteIn(await post(gateway, chatBody('flat', false)))
  expect(PaymentRequiredV2Schema.parse(metered).accepts.map(({ scheme }) => scheme)).toEqual([
    'upto',
  ])
  expect(PaymentRequiredV2Schema.parse(flat).accepts.map(({ scheme }) => scheme)).toEqual([
    'upto',
    'exact',
  ])
  expect(flat.accepts[0]).toMatchObject({
    amount: '700',
    payTo: operator.payee,
    extra: { facilitatorAddress: operator.settler, assetTransferMethod: 'permit2' },
  })
})

test('a call at a fixed price is charged that price, whoever sets headers', async () => {
  const body = chatBody('flat', false)
  const answer = await post(gateway, body, await pay(body))
  const receipt = await expectVerified(gateway.url, answer, body)
  expect(remember(receipt).amountAtomic).toBe(700n)
  const injected = chatBody('hostile-header-injection', false)
  const second = await post(gateway, injected, await pay(injected))
  const other = await expectVerified(gateway.url, second, injected)
  expect(remember(other).amountAtomic).toBe(priceOf(other))
})

test('of twenty calls with one payment one is served, and its payment buys no other', async () => {
  const body = chatBody('loopback-slow-30', false)
  const payment = await pay(body)
  await provider.reset()
  const raced = await Promise.all(Array.from({ length: 20 }, () => post(gateway, body, payment)))
  const served = raced.filter(({ status }) => status === 200)
  expect(served).toHaveLength(1)
  expect((await provider.log()).length).toBe(1)
  const [first] = served
  if (first === undefined) throw new Error('nothing was served')
  remember(await expectVerified(gateway.url, first, body))
  const errors = raced.filter(({ status }) => status === 402).map((each) => quoteIn(each).error)
  expect(errors).toHaveLength(19)
  const again = await post(gateway, body, payment)
  expect([again.status, quoteIn(again).error]).toEqual([402, 'invalid_transaction_state'])
})

test('who leaves a stream is charged for what was used, at most the maximum', async () => {
  const body = chatBody('loopback-slow-20000', true, 'one two three four five six seven eight')
  const payment = await pay(body)
  const left = await post(gateway, body, payment, { leaveWhen: (bytes) => bytes > 0 })
  const { id, token } = receiptOf(left.headers)
  const receipt = await fetchReceipt(gateway.url, id, token, 60)
  const { amountAtomic } = remember(receipt)
  expect(receipt.claims['outcome']).toMatchObject({ state: 'aborted-by-client' })
  expect(amountAtomic).toBe(priceOf(receipt))
  expect(amountAtomic).toBeGreaterThan(0n)
  expect(amountAtomic).toBeLessThanOrEqual(BigInt(payment.accepted.amount))
})

test.each(['hostile-status-500', 'hostile-reset'])(
  'an upstream that fails (%s) charges nothing, and the payment buys the call again',
  async (model) => {
    const body = chatBody(model, false)
    const payment = await pay(body)
    for (let attempt = 0; attempt < 2; attempt++) {
      const answer = await post(gateway, body, payment)
      expect(answer.status).toBeGreaterThanOrEqual(500)
      const { id, token } = receiptOf(answer.headers)
      const receipt = await fetchReceipt(gateway.url, id, token, 60)
      expect(remember(receipt)).toMatchObject({ scheme: 'upto', amountAtomic: 0n })
    }
  },
)

test('a stream that its upstream cuts charges nothing and uses the payment up', async () => {
  const body = chatBody('hostile-eof-mid', true)
  const payment = await pay(body)
  const answer = await post(gateway, body, payment)
  const { id, token } = receiptOf(answer.headers)
  const receipt = await fetchReceipt(gateway.url, id, token, 60)
  expect(remember(receipt)).toMatchObject({ scheme: 'upto', amountAtomic: 0n })
  expect(quoteIn(await post(gateway, body, payment)).error).toBe('invalid_transaction_state')
})

test('a payment for another offer, or in no form, is refused by name and leaves nothing', async () => {
  const body = chatBody('loopback-echo', false)
  const payment = await pay(body)
  const other = await post(gateway, chatBody('flat', false), payment)
  expect([other.status, quoteIn(other).error]).toEqual([402, 'permit2_amount_mismatch'])
  const scheme = { ...payment, accepted: { ...payment.accepted, scheme: 'free' } }
  expect(quoteIn(await post(gateway, body, scheme)).error).toBe('unsupported_scheme')
  const exact = { ...payment, accepted: { ...payment.accepted, scheme: 'exact' } }
  expect(quoteIn(await post(gateway, body, exact)).error).toBe('unsupported_scheme')
  const garbage = await post(gateway, body, undefined, {
    headers: { 'payment-signature': 'AAAA' },
  })
  expect(garbage.status).toBe(400)
  const used = await post(gateway, body, payment)
  remember(await expectVerified(gateway.url, used, body))
})

test('kill -9 between reservation and end: the payment is used up, and every sum is the same', async () => {
  const body = chatBody('loopback-slow-20000', true, 'one two three four five six seven eight')
  const payment = await pay(body)
  const dying = new AbortController()
  const calling = post(gateway, body, payment, {
    leaveWhen: () => {
      dying.abort()
      return false
    },
  })
  await new Promise((resolve) => {
    dying.signal.addEventListener('abort', resolve)
  })
  await gateway.kill()
  const cut = await calling
  expect(cut.failure).not.toBeNull()
  gateway = await start()
  const { id } = receiptOf(cut.headers)
  const receipt = await fetchReceipt(gateway.url, id, null)
  expect(remember(receipt)).toMatchObject({ scheme: 'upto', amountAtomic: 0n })
  expect(receipt.claims).toEqual({})
  expect(quoteIn(await post(gateway, body, payment)).error).toBe('invalid_transaction_state')
})

/** How often a call is said to have progressed, in what a killed process leaves on the disk. */
function countProgress(): number {
  const ledger = join(folder, 'data', 'ledger')
  const text = readdirSync(ledger).map((name) => readFileSync(join(ledger, name), 'latin1'))
  return text.join('').split('upto-progressed').length
}

test('kill -9 after the provider has counted: what it counted is charged, and has a receipt', async () => {
  const body = JSON.stringify({
    model: 'slow-messages',
    stream: true,
    max_tokens: 50,
    messages: [{ role: 'user', content: 'one two three four five six seven eight' }],
  })
  const payment = await pay(body)
  const begun = Promise.withResolvers<void>()
  const before = countProgress()
  const calling = post(gateway, body, payment, {
    leaveWhen: () => {
      begun.resolve()
      return false
    },
  })
  await begun.promise
  expect(await until(() => countProgress() > before, 60_000)).toBe(true)
  await gateway.kill()
  const cut = await calling
  gateway = await start()
  const { id } = receiptOf(cut.headers)
  const receipt = await fetchReceipt(gateway.url, id, null)
  const { amountAtomic } = remember(receipt)
  expect(amountAtomic).toBeGreaterThan(0n)
  expect(amountAtomic).toBeLessThan(100n)
  const verdict = await judge(receipt, {})
  expect(verdict.checks.filter(({ status }) => status === 'failed')).toEqual([])
})

test('what the payee holds in the end is the sum of all receipts', async () => {
  const sum = [...charges.values()].reduce((total, each) => total + each, 0n)
  expect(charges.size).toBeGreaterThan(10)
  for (let look = 0; (await network.balanceOf(operator.payee)) !== sum; look++) {
    if (look > 600) expect(await network.balanceOf(operator.payee)).toBe(sum)
    // The chain makes a block a second: looking more often only costs.
    await setTimeout(100)
  }
  expect(await network.balanceOf(operator.payee)).toBe(sum)
})
