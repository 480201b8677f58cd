/** Names of metered calls: one charge under each, whatever payment comes along (spec/payment.md PA4). */
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Payer, SignChanges } from '../../../test/attacks/attack.ts'
import { createPayer } from '../../../test/attacks/payers/create-payer.ts'
import { encodePayment, quoteIn, type Payment } from '../../../test/attacks/wire.ts'
import type { RawResult } from '../../../test/provider/raw-client.ts'
import { startPlainLoopbackProvider, type LoopbackProvider } from '../../../test/provider/start.ts'
import {
  chatBody,
  post as postChat,
  startMeteredGateway,
  startMeteredNetwork,
  type MeteredNetwork,
  type MeteredOperator,
} from './payment/metered-network.ts'
import { expectVerified, receiptOf } from './support/receipts.ts'
import { createGatewayFolder, type RunningGateway } from './support/start-gateway.ts'

let network: MeteredNetwork
let provider: LoopbackProvider
let operator: MeteredOperator
let gateway: RunningGateway
const folder = createGatewayFolder()
const schemes = ['upto', 'batch-settlement'] as const
type Scheme = (typeof schemes)[number]
const payers = new Map<Scheme, Payer>()

const start = (): Promise<RunningGateway> =>
  startMeteredGateway(network, operator, { providerUrl: provider.url, folder })

beforeAll(async () => {
  network = await startMeteredNetwork()
  provider = await startPlainLoopbackProvider({ models: ['flat'] })
  operator = await network.createOperator()
  gateway = await start()
})
afterAll(async () => {
  await gateway.stop()
  await provider.stop()
  await network.chain.stop()
  rmSync(folder, { recursive: true })
})

async function payerOf(scheme: Scheme): Promise<Payer> {
  const payer = payers.get(scheme) ?? createPayer(scheme, await network.createPayer())
  payers.set(scheme, payer)
  return payer
}

async function signBy(payer: Payer, body: string, id?: string): Promise<Payment> {
  const quote = quoteIn(await postChat(gateway, body))
  if (quote === undefined) throw new Error('no offer')
  const extensions = { 'payment-identifier': { info: { required: false, id } } }
  const changes: SignChanges = id === undefined ? {} : { extensions }
  return payer.sign(quote, changes)
}

async function pay(scheme: Scheme, body: string, id?: string): Promise<Payment> {
  return signBy(await payerOf(scheme), body, id)
}

function post(
  body: string,
  payment: Payment,
  more: Record<string, string> = {},
): Promise<RawResult> {
  const headers = { 'payment-signature': encodePayment(payment), ...more }
  return postChat(gateway, body, undefined, { headers })
}

function codeOf({ body }: RawResult): unknown {
  const problem: unknown = JSON.parse(body.toString())
  return Object(problem).code
}

async function executions(): Promise<number> {
  return (await provider.log({ waitUntilIdleMs: 60_000 })).at(-1)?.sequence ?? 0
}

test.each(schemes)(
  '%s: a name buys one answer, also by another payment and after a crash',
  async (scheme) => {
    const id = `the-first-call-of-${scheme}`
    const body = chatBody('loopback-echo', false, 'once')
    const first = await post(body, await pay(scheme, body, id))
    expect(first.status, first.body.toString()).toBe(200)
    ;(await payerOf(scheme)).hear(first)
    const { payload } = await expectVerified(gateway.url, first, body)
    expect(payload.charge.amountAtomic).toBeGreaterThan(0n)
    const before = await executions()
    const again = await post(body, await pay(scheme, body, id))
    expect([again.status, again.body.equals(first.body)]).toEqual([200, true])
    expect(receiptOf(again.headers).id).toBe(receiptOf(first.headers).id)
    const other = chatBody('loopback-echo', false, 'twice')
    const conflict = await post(other, await pay(scheme, other, id))
    expect([conflict.status, codeOf(conflict)]).toEqual([409, 'idempotency-key-reused'])
    await gateway.kill()
    gateway = await start()
    const late = await post(body, await pay(scheme, body, id))
    expect(codeOf(late)).toBe('answer-gone')
    const changed = await post(other, await pay(scheme, other, id))
    expect(codeOf(changed)).toBe('idempotency-key-reused')
    expect(await executions()).toBe(before)
    // Nothing of what came along was used: the next call is served.
    const next = await post(other, await pay(scheme, other))
    expect(next.status, next.body.toString()).toBe(200)
    ;(await payerOf(scheme)).hear(next)
  },
)

test('of calls that race for a name one is made, and payments of the others stay good', async () => {
  const body = chatBody('loopback-slow-30', false)
  const id = 'a-name-that-eight-want'
  const payments = await Promise.all(Array.from({ length: 8 }, () => pay('upto', body, id)))
  const before = await executions()
  const raced = await Promise.all(payments.map((payment) => post(body, payment)))
  const served = raced.filter(({ status }) => status === 200)
  const refused = raced.filter(({ status }) => status !== 200)
  // Who came late has the answer of the first.
  expect(new Set(served.map(({ headers }) => receiptOf(headers).id)).size).toBe(1)
  for (const answer of refused) expect(codeOf(answer)).toBe('idempotency-key-in-progress')
  expect(await executions()).toBe(before + 1)
  // One of them was used; each of the others buys a call.
  const statuses: (number | null)[] = []
  for (const payment of payments) {
    statuses.push((await post(body, { ...payment, extensions: {} })).status)
  }
  expect(statuses.filter((status) => status === 200)).toHaveLength(7)
  expect(statuses).toContain(402)
})

test.each(schemes)('%s: a call that failed gives its name back', async (scheme) => {
  const id = `a-call-that-fails-by-${scheme}`
  const body = chatBody('hostile-status-500', false)
  const before = await executions()
  for (let count = 0; count < 2; count++) {
    const failed = await post(body, await pay(scheme, body, id))
    expect(failed.status).toBe(500)
  }
  expect(await executions()).toBe(before + 2)
})

test('the header names a call, too, and its form is judged', async () => {
  const body = chatBody('loopback-echo', false, 'by header')
  const headers = { 'idempotency-key': 'order-17' }
  const first = await post(body, await pay('upto', body), headers)
  expect(first.status).toBe(200)
  const again = await post(body, await pay('upto', body), headers)
  expect(again.body.equals(first.body)).toBe(true)
  const other = chatBody('loopback-echo', false, 'another')
  const conflict = await post(other, await pay('upto', other), headers)
  expect(conflict.status).toBe(409)
  // The name of another payer is another name.
  const stranger = createPayer('upto', await network.createPayer())
  const theirs = await post(other, await signBy(stranger, other), headers)
  expect(theirs.status).toBe(200)
  const malformed = { 'idempotency-key': 'with space' }
  const refused = await post(body, await pay('upto', body), malformed)
  expect([refused.status, codeOf(refused)]).toEqual([400, 'request-malformed'])
})

test('who does not prove to be the payer learns nothing about its names', async () => {
  const id = 'a-name-of-somebody-else'
  const body = chatBody('loopback-echo', false, 'mine')
  const payment = await pay('upto', body, id)
  expect((await post(body, payment)).status).toBe(200)
  const fresh = await pay('upto', body, id)
  const signature = `0x${'1'.repeat(128)}1b`
  const forged = { ...fresh, payload: { ...fresh.payload, signature } }
  const answer = await post(body, forged)
  expect(answer.status).toBe(402)
  expect(codeOf(answer)).not.toMatch(/^idempotency|answer-gone/)
})
