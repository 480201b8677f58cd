import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { PaymentPayload } from '@x402/core/types'
import { x402HTTPClient } from '@x402/fetch'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { PaymentScheme } from '../src/payment/admission.ts'
import { createExactPayment, type ExactOptions } from '../src/payment/exact/exact-payment.ts'
import { payerBalanceAtomic, startTestChain, type TestChain } from './payment/chain-process.ts'
import { balanceOf, createExactOptions, startExact } from './payment/exact-scheme.ts'
import { createStockClient, encodePayment, signStockPayment, withPayment } from './payment/payer.ts'
import { createRequest, expectAdmitted, expectRefused } from './payment/requests.ts'
import {
  authorizationNonceOf,
  startRpcProxy,
  type RpcProxy,
  type Verdict,
} from './payment/rpc-proxy.ts'

const program = fileURLToPath(new URL('./payment/paid-server-child.ts', import.meta.url))

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

type Gateway = {
  readonly url: string
  readonly lines: AsyncIterator<string>
  kill(): Promise<void>
}

async function startGateway(options: ExactOptions, stopAt = 'nowhere'): Promise<Gateway> {
  const child: ChildProcess = spawn(
    process.execPath,
    ['--conditions=source', program, JSON.stringify(options), stopAt],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const exited = once(child, 'exit')
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  onTestFinished(kill)
  if (child.stdout === null) throw new Error('no output')
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const { value } = await lines.next()
  return { url: String(value), lines, kill }
}

async function post(url: string, payment?: PaymentPayload): Promise<Response> {
  const headers = payment === undefined ? {} : { 'payment-signature': encodePayment(payment) }
  return fetch(`${url}/call`, { method: 'POST', body: 'hello', headers })
}

async function readAnswer(response: Response): Promise<ReadonlyMap<string, unknown>> {
  return new Map(Object.entries(Object(await response.json())))
}

type Fixture = {
  readonly proxy: RpcProxy
  readonly options: ExactOptions
  readonly payer: ReturnType<TestChain['nextPayer']>
}

async function setUp(): Promise<Fixture> {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  return {
    proxy,
    options: createExactOptions(chain, { rpcUrl: proxy.url }),
    payer: chain.nextPayer(),
  }
}

async function sign({ payer }: Fixture, url: string): Promise<PaymentPayload> {
  const quoted = await post(url)
  const client = createStockClient(payer)
  const quote = new x402HTTPClient(client).getPaymentRequiredResponse((name) =>
    quoted.headers.get(name),
  )
  return client.createPaymentPayload(quote)
}

/** Resolves when a call of this method arrives at the proxy, which then does as told. */
function arrivalOf(
  proxy: RpcProxy,
  method: string,
  verdict: 'drop' | 'forward-then-drop',
): Promise<void> {
  return new Promise((resolve) => {
    proxy.rule = (called) => {
      if (called !== method) return 'forward'
      resolve()
      return verdict
    }
  })
}

/** One payment bought one call: one transaction, one transfer, and nothing more for the same payment. */
async function expectOneCall(
  fixture: Fixture,
  url: string,
  payment: PaymentPayload,
): Promise<void> {
  const answer = await post(url, payment)
  expect(answer.status).toBe(200)
  const bought = await readAnswer(answer)
  expect(bought.get('amountAtomic')).toBe('10000')
  const again = await readAnswer(await post(url, payment))
  expect(again.get('code')).toBe('payment-already-used')
  expectOneBroadcast(fixture)
  expect(await balanceOf(chain, fixture.payer.address)).toBe(payerBalanceAtomic - 10_000n)
}

function expectOneBroadcast({ proxy }: Fixture): void {
  const transactions = [...proxy.broadcasts.values()].map((raw) => new Set(raw).size)
  expect(transactions).toEqual([1])
}

test('kill -9 after the reservation, before anything is signed: the payment buys its call', async () => {
  expect.hasAssertions()
  const fixture = await setUp()
  const first = await startGateway(fixture.options)
  const payment = await sign(fixture, first.url)
  const arrived = arrivalOf(fixture.proxy, 'eth_gasPrice', 'drop')
  const lost = post(first.url, payment).catch(() => undefined)
  await arrived
  await first.kill()
  await lost
  fixture.proxy.rule = undefined
  expect(fixture.proxy.broadcasts.size).toBe(0)
  const second = await startGateway(fixture.options)
  await expectOneCall(fixture, second.url, payment)
})

test('kill -9 when the transaction is signed but not sent: recovery sends the same transaction', async () => {
  expect.hasAssertions()
  const fixture = await setUp()
  const first = await startGateway(fixture.options)
  const payment = await sign(fixture, first.url)
  const arrived = arrivalOf(fixture.proxy, 'eth_sendRawTransaction', 'drop')
  const lost = post(first.url, payment).catch(() => undefined)
  await arrived
  await first.kill()
  await lost
  fixture.proxy.rule = undefined
  const second = await startGateway(fixture.options)
  await expectOneCall(fixture, second.url, payment)
})

test('kill -9 after the broadcast: the settled payment is a credit for its request', async () => {
  expect.hasAssertions()
  const fixture = await setUp()
  const first = await startGateway(fixture.options)
  const payment = await sign(fixture, first.url)
  const arrived = arrivalOf(fixture.proxy, 'eth_sendRawTransaction', 'forward-then-drop')
  const lost = post(first.url, payment).catch(() => undefined)
  await arrived
  await first.kill()
  await lost
  fixture.proxy.rule = undefined
  const second = await startGateway(fixture.options)
  await expectOneCall(fixture, second.url, payment)
})

test('kill -9 after the settlement, before the release: the call is not lost', async () => {
  expect.hasAssertions()
  const fixture = await setUp()
  const first = await startGateway(fixture.options, 'admitted')
  const payment = await sign(fixture, first.url)
  const settled = new Promise<void>((resolve) => {
    fixture.proxy.rule = async (method, [hash]): Promise<Verdict> => {
      if (method === 'eth_getTransactionReceipt') {
        const receipt = await chain.mined(String(hash))
        if (receipt.status === 'success') resolve()
      }
      return 'forward'
    }
  })
  const lost = post(first.url, payment).catch(() => undefined)
  await settled
  await first.kill()
  await lost
  fixture.proxy.rule = undefined
  const second = await startGateway(fixture.options)
  await expectOneCall(fixture, second.url, payment)
})

test('kill -9 after the release: the payment is used, whoever asks again', async () => {
  const fixture = await setUp()
  const first = await startGateway(fixture.options, 'released')
  const payment = await sign(fixture, first.url)
  const lost = post(first.url, payment).catch(() => undefined)
  expect((await first.lines.next()).value).toBe('released')
  await first.kill()
  await lost
  const second = await startGateway(fixture.options)
  const again = await readAnswer(await post(second.url, payment))
  expect(again.get('code')).toBe('payment-already-used')
  expectOneBroadcast(fixture)
  expect(await balanceOf(chain, fixture.payer.address)).toBe(payerBalanceAtomic - 10_000n)
})

test('what left before its settlement is settled after kill -9', async () => {
  const fixture = await setUp()
  const options: ExactOptions = {
    ...fixture.options,
    settle: { kind: 'before' },
  }
  const first = await startGateway(options)
  const payment = await sign(fixture, first.url)
  await first.kill()
  // In process, so that the bound can be a bigint.
  const scheme = createExactPayment({
    ...options,
    settle: { kind: 'after', maxAtRiskAtomic: 10_000n },
    clock: () => Date.now(),
  })
  const held = arrivalOf(fixture.proxy, 'eth_gasPrice', 'drop')
  const request = createRequest({}, { path: '/call', body: 'hello' })
  const admitted = expectAdmitted(await scheme.admit(withPayment(request, payment)))
  await held
  expect((await admitted.release()).kind).toBe('released')
  await scheme.close()
  expect(fixture.proxy.broadcasts.size).toBe(0)
  const sent = arrivalOf(fixture.proxy, 'eth_sendRawTransaction', 'forward-then-drop')
  const second = await startGateway(options)
  await sent
  fixture.proxy.rule = undefined
  const again = await readAnswer(await post(second.url, payment))
  expect(again.get('code')).toBe('payment-already-used')
  const next = await post(second.url, await sign(fixture, second.url))
  expect(next.status).toBe(200)
  const counts = [...fixture.proxy.broadcasts.values()].map((raw) => new Set(raw).size)
  expect(counts).toEqual([1, 1])
  expect(await balanceOf(chain, fixture.payer.address)).toBe(payerBalanceAtomic - 20_000n)
})

async function admitWith(
  scheme: PaymentScheme,
  payment: PaymentPayload,
): Promise<ReturnType<typeof expectAdmitted>> {
  return expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
}

test('a settlement that is not confirmed in time goes on, and the same payment is not paid twice', async () => {
  const { scheme, proxy } = await startExact(chain, { settlementTimeoutMs: 300 })
  const payer = chain.nextPayer()
  const payment = await signStockPayment(scheme, payer, createRequest({}))
  let answer: (() => void) | undefined
  const answered = new Promise<void>((resolve) => {
    answer = resolve
  })
  proxy.rule = async (method): Promise<Verdict> => {
    if (method === 'eth_getTransactionReceipt') await answered
    return 'forward'
  }
  const first = await admitWith(scheme, payment)
  expect(await first.release()).toMatchObject({
    kind: 'refused',
    refusal: { code: 'payment-settlement-unknown' },
  })
  expect(await first.complete('unused')).toMatchObject({ amountAtomic: 0n })
  answer?.()
  // Its block may still be to come: each time it is asked for again 300 ms pass.
  for (let again = 0, isReleased = false; !isReleased; again++) {
    if (again > 200) throw new Error('the settlement is never confirmed')
    const next = await admitWith(scheme, payment)
    const release = await next.release()
    isReleased = release.kind === 'released'
    if (release.kind === 'refused') expect(release.refusal.code).toBe('payment-settlement-unknown')
    await next.complete(isReleased ? 'used' : 'unused')
  }
  const used = await scheme.admit(withPayment(createRequest({}), payment))
  expect(expectRefused(used).code).toBe('payment-already-used')
  expect([...proxy.broadcasts.values()].map(({ length }) => length)).toEqual([1])
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
})

test('lost answers and a chain that is away for a moment change nothing', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payer = chain.nextPayer()
  const payment = await signStockPayment(scheme, payer, createRequest({}))
  const seen = new Map<string, number>()
  proxy.rule = (method) => {
    const times = (seen.get(method) ?? 0) + 1
    seen.set(method, times)
    if (method === 'eth_sendRawTransaction') return times === 1 ? 'forward-then-drop' : 'forward'
    return times <= 2 ? 'drop' : 'forward'
  }
  const admitted = await admitWith(scheme, payment)
  expect((await admitted.release()).kind).toBe('released')
  await admitted.complete('used')
  // The watch over what is settled begins by itself, and may have asked once by now.
  seen.delete('eth_getBlockByNumber')
  expect(Math.min(...seen.values())).toBeGreaterThan(1)
  const [broadcasts = []] = proxy.broadcasts.values()
  expect(new Set(broadcasts).size).toBe(1)
  expect(authorizationNonceOf(broadcasts[0])).toBe([...proxy.broadcasts.keys()][0])
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
})

test('without a chain nothing is admitted and nothing is charged', async () => {
  const { scheme, proxy } = await startExact(chain)
  const payment = await signStockPayment(scheme, chain.nextPayer(), createRequest({}))
  proxy.rule = () => 'drop'
  const refusal = expectRefused(await scheme.admit(withPayment(createRequest({}), payment)))
  expect(refusal).toMatchObject({ code: 'payment-unavailable', headers: { 'retry-after': '5' } })
  proxy.rule = undefined
  expect((await (await admitWith(scheme, payment)).release()).kind).toBe('released')
})

test('what a caller who left was charged is settled when the chain is back', async () => {
  const { scheme, proxy } = await startExact(chain, { settlementTimeoutMs: 300 })
  const payer = chain.nextPayer()
  const payment = await signStockPayment(scheme, payer, createRequest({}))
  let questions = 0
  proxy.rule = (method, params): Verdict =>
    method === 'eth_call' && params[1] === 'pending' ? 'drop' : 'forward'
  const admitted = expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
  proxy.rule = (method, params): Verdict => {
    if (method !== 'eth_call') return 'forward'
    if (params[1] === 'pending') return 'drop'
    questions++
    return 'forward'
  }
  // Its caller left before anything could be released.
  expect((await admitted.complete('used')).amountAtomic).toBe(10_000n)
  // Whether the nonce is used is asked when the trial was given up: then nothing is under way any more.
  await expect.poll(() => questions).toBeGreaterThan(0)
  proxy.rule = undefined
  await expect.poll(() => balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
})
