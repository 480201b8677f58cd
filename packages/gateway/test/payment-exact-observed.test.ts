/** Payments that somebody else settled before the gateway had them (spec/payment.md PA9.8). */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openLedger } from '../src/payment/exact/ledger.ts'
import { createSettlementAccount } from '../src/payment/exact/sender.ts'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { payerBalanceAtomic, startTestChain, type TestChain } from './payment/chain-process.ts'
import { balanceOf, bytesOf, createExactOptions, startExact } from './payment/exact-scheme.ts'
import { sendAsObserver } from './payment/observer.ts'
import {
  readQuote,
  signAuthorization,
  signBoundPayment,
  signStockPayment,
  withPayment,
} from './payment/payer.ts'
import { createRequest, expectAdmitted, expectRefused } from './payment/requests.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

/** A scheme whose ledger was made at this block. */
async function startBornAt(
  block: bigint,
  overrides: Parameters<typeof createExactOptions>[1] = {},
): ReturnType<typeof startExact> {
  const options = createExactOptions(chain, overrides)
  const ledger = openLedger(options.databaseFile, {
    network: 'eip155:84532',
    asset: baseSepoliaUsdc.address,
    sender: createSettlementAccount(options.settlementKey).address,
  })
  ledger.setBirthBlock(block)
  ledger.close()
  const { databaseFile, settlementKey } = options
  return startExact(chain, { ...overrides, databaseFile, settlementKey })
}

test('a payment that an observer settled first buys one call, and the next one nothing', async () => {
  const { scheme, proxy } = await startBornAt(0n)
  const payer = chain.nextPayer()
  const payment = await signStockPayment(scheme, payer, createRequest({}))
  const observed = await sendAsObserver(chain, payment)
  const present = () => scheme.admit(withPayment(createRequest({}), payment))
  const admissions = await Promise.all([present(), present(), present()])
  const [first, ...others] = admissions
  const admitted = expectAdmitted(first ?? (await present()))
  for (const other of others) expect(expectRefused(other).code).toBe('payment-in-progress')
  expect((await admitted.release()).kind).toBe('released')
  expect(await admitted.complete('used')).toMatchObject({
    amountAtomic: 10_000n,
    settlementTransaction: bytesOf(observed),
  })
  expect(expectRefused(await present()).code).toBe('payment-already-used')
  const other = createRequest({}, { body: 'another request' })
  const elsewhere = await scheme.admit(withPayment(other, payment))
  expect(expectRefused(elsewhere).code).toBe('payment-request-mismatch')
  expect(proxy.broadcasts.size).toBe(0)
  expect(await balanceOf(chain, payer.address)).toBe(payerBalanceAtomic - 10_000n)
})

test('of a bound payment only who knows its salt has the call', async () => {
  const { scheme } = await startBornAt(0n)
  const request = createRequest({})
  const payment = await signBoundPayment(scheme, chain.nextPayer(), request)
  await sendAsObserver(chain, payment)
  const other = createRequest({}, { body: 'of a reader of the chain' })
  const stolen = await scheme.admit(withPayment(other, payment))
  expect(expectRefused(stolen).code).toBe('payment-request-mismatch')
  expectAdmitted(await scheme.admit(withPayment(request, payment)))
})

test('what was settled before the ledger was made buys nothing, whatever is asked again', async () => {
  const head = await chain.client.getBlockNumber()
  const { scheme } = await startBornAt(head + 1000n)
  const payment = await signStockPayment(scheme, chain.nextPayer(), createRequest({}))
  await sendAsObserver(chain, payment)
  const refused = await scheme.admit(withPayment(createRequest({}), payment))
  expect(expectRefused(refused).code).toBe('payment-already-used')
})

test('a nonce that was used for another payee, or cancelled, buys nothing and is looked for once', async () => {
  const { scheme, proxy } = await startBornAt(0n)
  const payer = chain.nextPayer()
  const [offer] = (await readQuote(scheme, createRequest({}))).accepts
  if (offer === undefined) throw new Error('no offer')
  const ours = await signAuthorization(payer, offer)
  const toSelf = await signAuthorization(payer, offer, {
    to: payer.address,
    nonce: ours.authorization['nonce'] ?? '',
  })
  await sendAsObserver(chain, { payload: toSelf })
  let looks = 0
  proxy.rule = (method) => {
    if (method === 'eth_getLogs') looks++
    return 'forward'
  }
  const payment = { x402Version: 2, accepted: offer, payload: ours }
  for (let count = 0; count < 3; count++) {
    const refused = await scheme.admit(withPayment(createRequest({}), payment))
    expect(expectRefused(refused).code).toBe('payment-already-used')
  }
  expect(looks).toBe(1)
})

test('what a node that is behind does not find is looked for again', async () => {
  let nowMs = Date.now()
  const { scheme, proxy } = await startBornAt(0n, { clock: () => nowMs })
  const payment = await signStockPayment(scheme, chain.nextPayer(), createRequest({}))
  await sendAsObserver(chain, payment)
  let looks = 0
  proxy.rule = (method) => {
    if (method !== 'eth_getLogs') return 'forward'
    looks++
    return { result: [] }
  }
  const present = () => scheme.admit(withPayment(createRequest({}), payment))
  for (let count = 0; count < 2; count++) {
    expect(expectRefused(await present()).code).toBe('payment-already-used')
  }
  expect(looks).toBe(1)
  proxy.rule = undefined
  nowMs += 10_000
  const admitted = expectAdmitted(await present())
  expect((await admitted.release()).kind).toBe('released')
})

test('a settlement by an observer counts at the configured depth, not before', async () => {
  const { scheme } = await startBornAt(0n, { confirmations: 3 })
  const sign = () => signStockPayment(scheme, chain.nextPayer(), createRequest({}))
  const [payment, another, third] = [await sign(), await sign(), await sign()]
  await sendAsObserver(chain, payment)
  const early = await scheme.admit(withPayment(createRequest({}), payment))
  expect(expectRefused(early).code).toBe('payment-in-progress')
  // Each of them makes a block.
  for (const other of [another, third]) await sendAsObserver(chain, other)
  const admitted = expectAdmitted(await scheme.admit(withPayment(createRequest({}), payment)))
  expect((await admitted.release()).kind).toBe('released')
})
