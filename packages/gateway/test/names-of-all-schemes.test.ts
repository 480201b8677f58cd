/** One book of names, and credits at their own price, at a gateway that sells by all x402 schemes (PA4.8, PA8.6). */
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Payer, Scheme } from '../../../test/attacks/attack.ts'
import { createPayer } from '../../../test/attacks/payers/create-payer.ts'
import { until } from '../../../test/attacks/waiting.ts'
import { encodePayment, quoteIn, type Payment } from '../../../test/attacks/wire.ts'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import {
  chatBody,
  createMeteredOptions,
  post as postChat,
  startMeteredGateway,
  startMeteredNetwork,
  type MeteredNetwork,
  type MeteredOperator,
  type MeteredOptions,
} from './payment/metered-network.ts'
import { expectVerified, receiptOf } from './support/receipts.ts'
import {
  answerChat,
  answerError,
  startRecordingUpstream,
  type RecordingUpstream,
} from './support/recording-upstream.ts'
import { createGatewayFolder, type RunningGateway } from './support/start-gateway.ts'

let network: MeteredNetwork
let upstream: RecordingUpstream
let operator: MeteredOperator

beforeAll(async () => {
  network = await startMeteredNetwork(1_000_000n)
  upstream = await startRecordingUpstream(() => undefined)
  operator = await network.createOperator()
})
afterAll(async () => {
  await upstream.stop()
  await network.chain.stop()
})
beforeEach(() => {
  upstream.answer = (response, _, index) => {
    answerChat(response, 'flat', `answer ${index}`)
  }
})

type Setup = {
  gateway: RunningGateway
  readonly payers: ReadonlyMap<Scheme, Payer>
  readonly options: MeteredOptions
}

async function setUp(workers: number): Promise<Setup> {
  const folder = createGatewayFolder()
  const options = { providerUrl: upstream.url, folder, exact: true, workers }
  const gateway = await startMeteredGateway(network, operator, options)
  const schemes = ['exact', 'upto', 'batch-settlement'] as const
  const key = await network.createPayer()
  // One account, whichever way it pays.
  const payers = new Map(schemes.map((scheme) => [scheme, createPayer(scheme, key)]))
  return { gateway, payers, options }
}

async function end({ gateway }: Setup): Promise<void> {
  await gateway.stop()
  rmSync(gateway.folder, { recursive: true })
}

async function kill(setup: Setup): Promise<void> {
  await setup.gateway.kill()
  setup.gateway = await startMeteredGateway(network, operator, setup.options)
}

async function sign(
  { gateway, payers }: Setup,
  scheme: Scheme,
  body: string,
  id?: string,
): Promise<Payment> {
  const quote = quoteIn(await postChat(gateway, body))
  const payer = payers.get(scheme)
  if (quote === undefined || payer === undefined) throw new Error('no offer')
  const extensions = { 'payment-identifier': { info: { required: false, id } } }
  return payer.sign(quote, id === undefined ? {} : { extensions })
}

async function post({ gateway }: Setup, body: string, payment: Payment): Promise<RawResult> {
  const headers = { 'payment-signature': encodePayment(payment) }
  return postChat(gateway, body, undefined, { headers })
}

/** A paid call under a name. */
async function pay(setup: Setup, scheme: Scheme, body: string, id?: string): Promise<RawResult> {
  const answer = await post(setup, body, await sign(setup, scheme, body, id))
  if (answer.status === 200) setup.payers.get(scheme)?.hear(answer)
  return answer
}

function codeOf({ body }: RawResult): unknown {
  const problem: unknown = JSON.parse(body.toString())
  return Object(problem).code
}

async function chargeOf(
  { gateway }: Setup,
  answer: RawResult,
  body: string,
): Promise<{ readonly scheme: string; readonly amountAtomic: bigint }> {
  const { payload } = await expectVerified(gateway.url, answer, body)
  const { scheme, amountAtomic } = payload.charge
  return { scheme, amountAtomic }
}

/** The upstream fails once; resolves with the refusal. */
async function failOnce(setup: Setup, scheme: Scheme, body: string, id: string): Promise<Payment> {
  const { answer } = upstream
  upstream.answer = (response) => {
    answerError(response, 500)
  }
  const payment = await sign(setup, scheme, body, id)
  const failed = await post(setup, body, payment)
  expect(failed.status, failed.body.toString()).toBe(500)
  upstream.answer = answer
  return payment
}

const pairs = [
  ['exact', 'upto'],
  ['upto', 'exact'],
  ['exact', 'batch-settlement'],
  ['batch-settlement', 'exact'],
] as const

async function showPublicPayment(setup: Setup): Promise<void> {
  const body = chatBody('flat', false, 'public by now')
  const payment = await sign(setup, 'exact', body)
  expect((await post(setup, body, payment)).status).toBe(200)
  const id = 'a-name-of-a-metered-call'
  expect((await pay(setup, 'upto', body, id)).status).toBe(200)
  const extensions = { 'payment-identifier': { info: { required: false, id } } }
  const shown = await post(setup, body, { ...payment, extensions })
  expect([shown.status, codeOf(shown)]).toEqual([402, 'payment-already-used'])
}

/** Nothing of earlier calls is taken from the payer any more. */
async function settled({ gateway }: Setup): Promise<void> {
  const isSettled = async (): Promise<boolean> => {
    const { body } = await callRaw({ url: `${gateway.url}/metrics` })
    return /^countersign_unsettled_payments 0$/m.test(body.toString())
  }
  expect(await until(isSettled, 60_000)).toBe(true)
}

async function payByCredit(setup: Setup): Promise<void> {
  const body = chatBody('flat', false, 'fails once')
  for (const scheme of ['upto', 'batch-settlement'] as const) {
    const id = `a-credit-that-${scheme}-finds`
    await failOnce(setup, 'exact', body, id)
    await settled(setup)
    const before = await network.balanceOf(setup.payers.get('exact')?.address ?? '0x')
    const payment = await sign(setup, scheme, body, id)
    const served = await post(setup, body, payment)
    expect(served.status, served.body.toString()).toBe(200)
    expect(await chargeOf(setup, served, body)).toEqual({ scheme: 'exact', amountAtomic: 700n })
    expect(await network.balanceOf(setup.payers.get('exact')?.address ?? '0x')).toBe(before)
    // The payment that came along buys another call.
    const next = await post(setup, body, { ...payment, extensions: {} })
    expect(next.status, next.body.toString()).toBe(200)
    setup.payers.get(scheme)?.hear(next)
    expect(await chargeOf(setup, next, body)).toEqual({ scheme, amountAtomic: 700n })
  }
}

async function payAfterKill(setup: Setup, workers: number): Promise<void> {
  const body = chatBody('flat', false, 'cut by a kill')
  const id = `a-name-cut-by-a-kill-of-${workers}`
  const { answer } = upstream
  const address = setup.payers.get('exact')?.address ?? '0x'
  await settled(setup)
  const before = await network.balanceOf(address)
  const reached = upstream.arrived(upstream.requests.length + 1)
  upstream.answer = () => undefined
  const cut = pay(setup, 'exact', body, id)
  await reached
  expect(await until(async () => (await network.balanceOf(address)) < before, 60_000)).toBe(true)
  await kill(setup)
  expect((await cut).status).toBe(null)
  upstream.answer = answer
  const served = await pay(setup, 'upto', body, id)
  expect(served.status, served.body.toString()).toBe(200)
  expect(await chargeOf(setup, served, body)).toEqual({ scheme: 'exact', amountAtomic: 700n })
  expect(await network.balanceOf(address)).toBe(before - 700n)
}

describe.each([1, 2])('with %i workers', (workers) => {
  let setup: Setup
  beforeAll(async () => {
    setup = await setUp(workers)
  })
  afterAll(() => end(setup))

  test('a name that was bought by one scheme is answered by all, also after kill -9', async () => {
    const bodies = pairs.map(([first, second]) => chatBody('flat', false, `${first} ${second}`))
    const calls = pairs.map(([first, second], index) => ({
      first,
      second,
      body: bodies[index] ?? '',
      id: `one-call-by-${first}-and-${second}`,
    }))
    const before = upstream.requests.length
    for (const { first, second, body, id } of calls) {
      const bought = await pay(setup, first, body, id)
      expect(bought.status, bought.body.toString()).toBe(200)
      expect(await chargeOf(setup, bought, body)).toMatchObject({ scheme: first })
      const again = await pay(setup, second, body, id)
      expect([again.status, again.body.equals(bought.body)]).toEqual([200, true])
      expect(receiptOf(again.headers).id).toBe(receiptOf(bought.headers).id)
      const other = chatBody('flat', false, 'another body')
      const conflict = await pay(setup, second, other, id)
      expect([conflict.status, codeOf(conflict)]).toEqual([409, 'idempotency-key-reused'])
    }
    await kill(setup)
    for (const { second, body, id } of calls) {
      expect(codeOf(await pay(setup, second, body, id))).toBe('answer-gone')
    }
    expect(upstream.requests.length - before).toBe(calls.length)
    // Nothing of what came along was used.
    for (const scheme of setup.payers.keys()) {
      const next = await pay(setup, scheme, chatBody('flat', false, `after all ${scheme}`))
      expect(next.status, next.body.toString()).toBe(200)
    }
  })

  test('a payment that is public tells nobody about names of other schemes', async () => {
    expect.hasAssertions()
    await showPublicPayment(setup)
  })

  test('of calls by three schemes that race for a name one is made', async () => {
    for (let round = 0; round < 3; round++) {
      const body = chatBody('flat', false, `round ${round}`)
      const id = `a-name-of-round-${round}`
      const payments: Payment[] = []
      for (const scheme of ['exact', 'upto', 'batch-settlement', 'exact', 'upto'] as const) {
        payments.push(await sign(setup, scheme, body, id))
      }
      const before = upstream.requests.length
      const answers = await Promise.all(payments.map((payment) => post(setup, body, payment)))
      const served = answers.filter(({ status }) => status === 200)
      const refused = answers.filter(({ status }) => status !== 200)
      expect(upstream.requests.length - before).toBe(1)
      expect(new Set(served.map(({ headers }) => receiptOf(headers).id)).size).toBe(1)
      for (const answer of refused) {
        expect(codeOf(answer), answer.body.toString()).toBe('idempotency-key-in-progress')
      }
      const [winner] = served
      if (winner === undefined) throw new Error('none was served')
      setup.payers.get('batch-settlement')?.hear(winner)
    }
  })

  test('a credit of exact pays for the call of its name, by whatever scheme it comes again', async () => {
    expect.hasAssertions()
    await payByCredit(setup)
  })

  test('a call of exact that kill -9 cuts is a credit of its name for the other schemes', async () => {
    expect.hasAssertions()
    await payAfterKill(setup, workers)
  })
})

describe('credits', () => {
  let setup: Setup
  let reloads = 0
  beforeAll(async () => {
    setup = await setUp(1)
  })
  afterAll(() => end(setup))

  async function reprice(flatAtomic: string | null): Promise<void> {
    const options = { ...setup.options, flatAtomic }
    setup.gateway.reload(createMeteredOptions(network, operator, options))
    await setup.gateway.logged('configuration was reloaded', ++reloads)
  }

  test('buy at the price at which they were authorised, whatever the price is by then', async () => {
    // Dearer, cheaper, by its use.
    for (const price of ['900', '500', null]) {
      await reprice('700')
      const body = chatBody('flat', false, `now for ${price}`)
      const credit = await failOnce(setup, 'exact', body, `a-credit-before-${price}-is-asked`)
      const unused = await sign(setup, 'exact', body)
      await reprice(price)
      const served = await post(setup, body, { ...credit, extensions: {} })
      expect(served.status, served.body.toString()).toBe(200)
      expect(await chargeOf(setup, served, body)).toEqual({ scheme: 'exact', amountAtomic: 700n })
      const again = await post(setup, body, { ...credit, extensions: {} })
      expect(codeOf(again)).toBe('payment-already-used')
      // Of a payment that nobody has seen nothing was taken: it is for another offer.
      const stale = await post(setup, body, unused)
      const other = price === null ? 'payment-scheme-mismatch' : 'payment-offer-mismatch'
      expect([stale.status, codeOf(stale)]).toEqual([402, other])
      const offered = quoteIn(again)?.accepts.map(({ scheme }) => scheme)
      expect(offered?.includes('exact')).toBe(price !== null)
    }
  })

  test('another call, or another amount under the same nonce, does not have them', async () => {
    await reprice('700')
    const body = chatBody('flat', false, 'a credit to steal')
    const credit = await failOnce(setup, 'exact', body, 'a-credit-to-be-stolen')
    await reprice('900')
    const other = chatBody('flat', false, 'another call')
    const stolen = await post(setup, other, { ...credit, extensions: {} })
    expect(codeOf(stolen)).toBe('payment-request-mismatch')
    const dearer = { ...credit, accepted: { ...credit.accepted, amount: '900' } }
    expect(codeOf(await post(setup, body, dearer))).toBe('payment-offer-mismatch')
    const served = await post(setup, body, credit)
    expect(served.status, served.body.toString()).toBe(200)
  })
})
