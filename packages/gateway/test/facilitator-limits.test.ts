import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { parseTransaction } from 'viem'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import {
  ask,
  askExact,
  askUpto,
  readSender,
  reasonOf,
  requirementsOf,
  type Answered,
} from './facilitator/ask.ts'
import {
  clientKey,
  clientKeySha256,
  createFacilitatorSetup,
} from './facilitator/facilitator-process.ts'
import { createApprovedPayer } from './payment/approved-payer.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { nextPayerKey } from './payment/channel-fixture.ts'
import { startRpcProxy, type Verdict } from './payment/rpc-proxy.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

test('a client has so many requests, so much gas and so many settlements at a time', async () => {
  const now = { ms: Date.UTC(2026, 10, 21, 12) }
  const limits = { requestsPerMinute: 5, gasPerDay: 250_000, totalGasPerDay: 1_000_000_000 }
  const clients = [{ name: 'shop', keySha256: clientKeySha256, requestsPerMinute: 100 }]
  const setup = createFacilitatorSetup(chain)
  const url = await setup.serve({ limits, clients }, { clock: () => now.ms })
  const account = chain.nextPayer()
  const until = { validBefore: '9000000000' }
  const pay = async (headers: Record<string, string> = {}) =>
    ask(url, 'settle', await askExact(account, '1000', until), headers)
  // One may take 160,000, and takes 50,000 to 90,000: there is room for two.
  expect(reasonOf(await pay())).toBe('good')
  expect(reasonOf(await pay())).toBe('good')
  const third = await pay()
  expect([third.status, reasonOf(third)]).toEqual([429, 'countersign_gas_budget_exhausted'])
  expect(third.headers.get('retry-after')).toBe('43200')
  now.ms += 86_400_000
  expect(reasonOf(await pay())).toBe('good')
  for (let request = 0; request < 4; request++) await pay()
  const limited = await pay()
  expect([limited.status, reasonOf(limited)]).toEqual([429, 'countersign_rate_limited'])
  expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0)
  // Another client has its own.
  expect(reasonOf(await pay({ authorization: `Bearer ${clientKey}` }))).toBe('good')
  const stranger = await pay({ authorization: `Bearer ${clientKey}x` })
  expect([stranger.status, reasonOf(stranger)]).toEqual([401, 'countersign_client_unknown'])
})

test('what is too small to be worth its gas is refused before it is served', async () => {
  const { address, eip712Name: name, eip712Version: version } = baseSepoliaUsdc
  const assets = [{ address, name, version, minAmountAtomic: '1000' }]
  const url = await createFacilitatorSetup(chain, { assets }).serve()
  const facilitator = await readSender(url)
  const tooSmall = 'countersign_amount_too_small'
  expect(reasonOf(await ask(url, 'settle', await askExact(chain.nextPayer(), '999')))).toBe(
    tooSmall,
  )
  const key = await createApprovedPayer(chain)
  expect(reasonOf(await ask(url, 'verify', askUpto(key, facilitator, '999')))).toBe(tooSmall)
  // Of a maximum that was good, every charge is settled.
  const charged = await ask(url, 'settle', askUpto(key, facilitator, '1000', '1'))
  expect(charged.body).toMatchObject({ success: true, amount: '1' })
})

/** Its block may still be to come: each question waits for it for a second. */
async function askUntilKnown(url: string, body: unknown): Promise<Answered> {
  const end = performance.now() + 60_000
  for (;;) {
    const answer = await ask(url, 'settle', body)
    if (reasonOf(answer) !== 'settlement_pending') return answer
    expect(performance.now()).toBeLessThan(end)
  }
}

test('too many settlements that are not on chain yet wait outside', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const url = await createFacilitatorSetup(chain, { rpcUrl: proxy.url }).serve({
    limits: { pendingSettlements: 1 },
    settlementTimeoutMs: 1000,
  })
  const held = Promise.withResolvers<undefined>()
  // The chain answers, but shows no receipt: the settlement stays on its way.
  proxy.rule = (method) => {
    if (method === 'eth_sendRawTransaction') held.resolve(undefined)
    return method === 'eth_getTransactionReceipt' ? 'drop' : 'forward'
  }
  const body = await askExact(chain.nextPayer())
  const first = ask(url, 'settle', body)
  await held.promise
  const second = await ask(url, 'settle', await askExact(chain.nextPayer()))
  expect([second.status, reasonOf(second)]).toEqual([503, 'countersign_too_many_pending'])
  const pending = await first
  expect(reasonOf(pending)).toBe('settlement_pending')
  expect(pending.body['transaction']).toMatch(/^0x[0-9a-f]{64}$/)
  proxy.rule = undefined
  expect((await askUntilKnown(url, body)).body).toMatchObject({
    success: true,
    transaction: pending.body['transaction'],
  })
})

test('while the chain does not answer, or gas costs too much, nothing is settled', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const setup = createFacilitatorSetup(chain, { rpcUrl: proxy.url, maxGasPriceWei: '1' })
  const url = await setup.serve()
  const body = await askExact(chain.nextPayer())
  const dear = await ask(url, 'settle', body)
  expect([dear.status, reasonOf(dear)]).toEqual([503, 'countersign_gas_price_exceeded'])
  expect((await fetch(`${url}/readyz`)).status).toBe(200)
  proxy.rule = () => 'drop'
  // What was found holds for a second.
  await expect.poll(async () => (await fetch(`${url}/readyz`)).status).toBe(503)
  const [verified, settled] = await Promise.all([
    ask(url, 'verify', body),
    ask(url, 'settle', body),
  ])
  expect([verified.status, reasonOf(verified)]).toEqual([503, 'verification_state_unavailable'])
  expect([settled.status, reasonOf(settled)]).toEqual([503, 'verification_state_unavailable'])
})

test('what one server asks the chain for does not hold up another', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const url = await createFacilitatorSetup(chain, { rpcUrl: proxy.url }).serve()
  const held = Promise.withResolvers<undefined>()
  const going = Promise.withResolvers<undefined>()
  proxy.rule = async (method): Promise<Verdict> => {
    if (method !== 'eth_gasPrice') return 'forward'
    proxy.rule = undefined
    held.resolve(undefined)
    await going.promise
    return 'forward'
  }
  const settle = (payTo: string): Promise<Answered> => {
    const accepted = requirementsOf('batch-settlement', '0', { payTo, maxTimeoutSeconds: 0 })
    const payload = { type: 'settle', receiver: payTo, token: accepted.asset }
    return ask(url, 'settle', {
      x402Version: 2,
      paymentPayload: { x402Version: 2, accepted, payload },
      paymentRequirements: accepted,
    })
  }
  const slow = settle(chain.nextPayer().address)
  await held.promise
  const quick = settle(chain.nextPayer().address)
  const first = await Promise.race([slow.then(() => 'slow'), quick.then(() => 'quick')])
  going.resolve(undefined)
  expect(first).toBe('quick')
  expect([await slow, await quick].map(reasonOf)).toEqual([
    'invalid_batch_settlement_evm_nothing_to_settle',
    'invalid_batch_settlement_evm_nothing_to_settle',
  ])
})

test('charges of 0 cost no gas, but are counted: each takes a row for ever', async () => {
  // The day must not end meanwhile.
  const nowMs = Date.now()
  const url = await createFacilitatorSetup(chain).serve(
    { limits: { gasPerDay: 100_000 } },
    { clock: () => nowMs },
  )
  const facilitator = await readSender(url)
  const key = nextPayerKey(chain)
  const answers: Answered[] = []
  for (let count = 0; count < 11; count++) {
    answers.push(await ask(url, 'settle', askUpto(key, facilitator, '1000', '0')))
  }
  const last = answers.pop()
  expect(new Set(answers.map(reasonOf))).toEqual(new Set(['good']))
  expect([last?.status, last?.body['errorReason']]).toEqual([
    429,
    'countersign_gas_budget_exhausted',
  ])
})

test('no more than the configured price is offered for gas, however it may rise until a block', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const maxGasPriceWei = 30_000_000_000n
  const setup = createFacilitatorSetup(chain, {
    rpcUrl: proxy.url,
    maxGasPriceWei: `${maxGasPriceWei}`,
  })
  const url = await setup.serve()
  const raws: string[] = []
  proxy.rule = (method, params): Verdict => {
    if (method === 'eth_sendRawTransaction') raws.push(String(params[0]))
    return method === 'eth_gasPrice' ? { result: `0x${(20_000_000_000).toString(16)}` } : 'forward'
  }
  expect(reasonOf(await ask(url, 'settle', await askExact(chain.nextPayer())))).toBe('good')
  const offered = raws.map((raw) => parseTransaction(`0x${raw.slice(2)}`).maxFeePerGas)
  expect(new Set(offered)).toEqual(new Set([maxGasPriceWei]))
})

test('many settlements that wait for a block ask for it together', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const url = await createFacilitatorSetup(chain, { rpcUrl: proxy.url }).serve({
    settlementTimeoutMs: 1000,
  })
  const sent = Promise.withResolvers<undefined>()
  let questions = 0
  let broadcasts = 0
  // No receipt is shown: each settlement stays on its way.
  proxy.rule = (method): Verdict => {
    if (method === 'eth_sendRawTransaction' && ++broadcasts === 4) sent.resolve(undefined)
    if (method !== 'eth_getTransactionReceipt') return 'forward'
    questions++
    return { result: null }
  }
  const bodies = await Promise.all(
    Array.from({ length: 4 }, async () => askExact(chain.nextPayer())),
  )
  const answers = Promise.all(bodies.map((body) => ask(url, 'settle', body)))
  await sent.promise
  const before = questions
  expect(new Set((await answers).map(reasonOf))).toEqual(new Set(['settlement_pending']))
  // Each looks for its receipt in every half of a second, and at blocks, of which there is none.
  expect(questions - before).toBeLessThan(30)
  proxy.rule = undefined
  const again = await Promise.all(bodies.map((body) => askUntilKnown(url, body)))
  expect(new Set(again.map(reasonOf))).toEqual(new Set(['good']))
})
