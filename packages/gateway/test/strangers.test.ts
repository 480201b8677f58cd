/** Payers of whom nothing is known, on a real chain whose reads are counted (spec/payment.md PA30). */
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createReadBudget, type StrangerLimits } from '../src/limits/read-budget.ts'
import { admitChannelPayment } from '../src/payment/channel/admit-channel-payment.ts'
import { encodeDeposit } from '../src/payment/channel/batch-contract.ts'
import { readVoucher } from '../src/payment/channel/voucher-memo.ts'
import { walletOf } from './payment/approved-payer.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { codeOf, expectReservation, startScheme, type Fixture } from './payment/channel-fixture.ts'
import { createChannelPayer, lower, offerOf, type ChannelPayer } from './payment/channel-payer.ts'
import { startExact } from './payment/exact-scheme.ts'
import { signStockPayment, withPayment } from './payment/payer.ts'
import { createRequest, expectAdmitted, expectRefused } from './payment/requests.ts'
import { startRpcProxy, type RpcProxy } from './payment/rpc-proxy.ts'
import { wordOf } from './ledger/sample-events.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

function budgetOf(limits: StrangerLimits): ReturnType<typeof createReadBudget> {
  // Time stands still: nothing is gained during a test.
  return createReadBudget(limits, () => 0)
}

/** Counts questions to the chain; nothing else asks it while no manager runs. */
async function countReads(): Promise<{ readonly proxy: RpcProxy; readonly reads: string[] }> {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const reads: string[] = []
  proxy.rule = (method) => {
    reads.push(method)
    return 'forward'
  }
  return { proxy, reads }
}

let calls = 0

async function admitFrom(
  { scheme, options }: Fixture,
  caller: string,
  present: (
    offer: ReturnType<typeof offerOf>,
  ) => Parameters<typeof admitChannelPayment>[1]['presented'],
): ReturnType<typeof admitChannelPayment> {
  const offer = offerOf(options.terms, 100n)
  calls++
  return admitChannelPayment(scheme.context, {
    presented: present(offer),
    offer,
    callId: calls.toString(16).padStart(32, 'e'),
    requestHash: wordOf(calls),
    caller,
  })
}

const stranger = (fixture: Fixture): ChannelPayer =>
  createChannelPayer(generatePrivateKey(), fixture.options.terms)

test('vouchers of unknown channels are read within the budget, and known channels go on beyond it', async () => {
  const { proxy, reads } = await countReads()
  const budget = budgetOf({ strangersPerMinute: 4, strangersPerAddress: 2 })
  const fixture = await startScheme(chain, { rpcUrl: proxy.url, reads: budget })
  const voucher = (payer: ChannelPayer, caller: string): ReturnType<typeof admitFrom> =>
    admitFrom(fixture, caller, (offer) => payer.voucher(offer, 100n))
  const known = createChannelPayer(fixture.key, fixture.options.terms)
  const first = await admitFrom(fixture, 'home', (offer) => known.deposit(offer, 100n, 20_000n))
  await expectReservation(first).charge(100n)
  // A real deposit costs nothing.
  expect(budget.counts).toEqual({ permitted: 1, proven: 1, refused: 0 })

  for (let key = 0; key < 2; key++) {
    expect(codeOf(await voucher(stranger(fixture), 'a'))).toBe('channel-unknown')
  }
  reads.length = 0
  const limited = await voucher(stranger(fixture), 'a')
  expect(limited).toMatchObject({ kind: 'limited', limited: { code: 'unknown-payer-limited' } })
  // So is a deposit that nobody has money for.
  const poor = stranger(fixture)
  const deposit = await admitFrom(fixture, 'a', (offer) => poor.deposit(offer, 100n, 20_000n))
  expect(deposit.kind).toBe('limited')
  expect(reads).toEqual([])
  // Others have their own, until all strangers together have none.
  expect(codeOf(await voucher(stranger(fixture), 'b'))).toBe('channel-unknown')
  expect(codeOf(await voucher(stranger(fixture), 'c'))).toBe('channel-unknown')
  expect((await voucher(stranger(fixture), 'd')).kind).toBe('limited')
  // The channel that is known is served from every address; a top-up is looked up, too.
  const again = await admitFrom(fixture, 'a', (offer) => known.voucher(offer, 200n))
  await expectReservation(again).charge(100n)
  const more = await admitFrom(fixture, 'a', (offer) => known.deposit(offer, 300n, 20_000n))
  await expectReservation(more).charge(100n)
  expect(budget.counts.refused).toBe(3)
})

test('a deposit that comes many times at once is one look', async () => {
  const budget = budgetOf({ strangersPerMinute: 1, strangersPerAddress: 1 })
  const fixture = await startScheme(chain, { reads: budget })
  const payer = createChannelPayer(fixture.key, fixture.options.terms)
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      admitFrom(fixture, 'a', (offer) => payer.deposit(offer, 100n, 20_000n)),
    ),
  )
  expect(answers.map(codeOf).toSorted()).toEqual([
    'admitted',
    ...Array<string>(19).fill('channel-busy'),
  ])
  expect(budget.counts).toEqual({ permitted: 1, proven: 1, refused: 0 })
})

test('a channel that held nothing is not read again for the same block, and a deposit into it is seen', async () => {
  const { proxy, reads } = await countReads()
  const now = { ms: Date.now() }
  const fixture = await startScheme(chain, { rpcUrl: proxy.url, clock: () => now.ms })
  const { follower } = fixture.scheme.context
  const payer = createChannelPayer(fixture.key, fixture.options.terms)
  const voucher = (): ReturnType<typeof admitFrom> =>
    admitFrom(fixture, 'a', (offer) => payer.voucher(offer, 100n))
  expect(codeOf(await voucher())).toBe('channel-unknown')
  reads.length = 0
  for (let count = 0; count < 20; count++) expect(codeOf(await voucher())).toBe('channel-unknown')
  expect(reads).toEqual([])
  // Another caller shares what is known.
  const before = follower.headHash()
  await depositOnChain(payer)
  expect(follower.headHash()).toBe(before)
  // Without any newer block that was read: not longer than the bound.
  now.ms += 4999
  expect(codeOf(await voucher())).toBe('channel-unknown')
  now.ms += 1
  expectReservation(await voucher())

  const second = createChannelPayer(fixture.key, fixture.options.terms, 1)
  const other = (): ReturnType<typeof admitFrom> =>
    admitFrom(fixture, 'a', (offer) => second.voucher(offer, 100n))
  expect(codeOf(await other())).toBe('channel-unknown')
  await depositOnChain(second)
  // As the manager does each second.
  await follower.poll()
  expectReservation(await other())

  /** Brought by somebody else than the gateway. */
  async function depositOnChain(of: ChannelPayer): Promise<void> {
    const { terms } = fixture.options
    const offer = offerOf(terms, 100n)
    const { action } = readVoucher(of.deposit(offer, 100n, 20_000n), offer, terms).payment
    if (action.kind !== 'deposit') throw new Error('no deposit')
    const data = encodeDeposit(of.config, action.deposit, lower(terms.erc3009Collector))
    const wallet = walletOf(chain, privateKeyToAccount(chain.nextSettlementKey()))
    const hash = await wallet.sendTransaction({ to: lower(baseSepoliaX402.batchSettlement), data })
    expect((await chain.mined(hash)).status).toBe('success')
  }
})

test('payments of exact without money are looked up within the budget; a payer who has paid goes on', async () => {
  const budget = budgetOf({ strangersPerMinute: 3, strangersPerAddress: 2 })
  const { scheme, proxy } = await startExact(chain, { reads: budget })
  const from = async (caller: string, account = privateKeyToAccount(generatePrivateKey())) => {
    const request = createRequest({}, { caller: () => caller })
    const payment = await signStockPayment(scheme, account, request)
    return { request: withPayment(request, payment), payment }
  }
  const payer = chain.nextPayer()
  const paid = await from('home', payer)
  const admitted = expectAdmitted(await scheme.admit(paid.request))
  expect((await admitted.release()).kind).toBe('released')
  await admitted.complete('used')
  expect(budget.counts).toEqual({ permitted: 1, proven: 1, refused: 0 })

  const poor = await from('a')
  for (let count = 0; count < 2; count++) {
    const { code } = expectRefused(await scheme.admit(poor.request))
    expect(code).toBe('payment-settlement-failed')
  }
  const limited = await from('a')
  const asked: string[] = []
  proxy.rule = (method, params) => {
    if (JSON.stringify(params).includes(limited.payment.accepted.payTo)) asked.push(method)
    if (method === 'eth_call') asked.push(method)
    return 'forward'
  }
  const refusal = expectRefused(await scheme.admit(limited.request))
  expect(refusal).toMatchObject({ code: 'unknown-payer-limited' })
  expect(Number(refusal.headers['retry-after'])).toBe(30)
  expect(asked).toEqual([])
  // Nothing was recorded: when the caller has room again the same payment is judged as new.
  const elsewhere = { ...limited.request, caller: () => 'b' }
  expect(expectRefused(await scheme.admit(elsewhere)).code).toBe('payment-settlement-failed')
  expect(expectRefused(await scheme.admit((await from('c')).request)).code).toBe(
    'unknown-payer-limited',
  )
  // Who has paid pays again from the very address that used everything up.
  const again = expectAdmitted(await scheme.admit((await from('a', payer)).request))
  await again.complete('unused')
})

test('a search for a settlement by somebody else takes five looks', async () => {
  const budget = budgetOf({ strangersPerMinute: 100, strangersPerAddress: 5 })
  const { scheme } = await startExact(chain, { reads: budget })
  const { scheme: other } = await startExact(chain)
  const request = createRequest({}, { caller: () => 'observer' })
  // Settled by another seller for the same payee, and shown here.
  const payment = await signStockPayment(other, chain.nextPayer(), request)
  const admitted = expectAdmitted(await other.admit(withPayment(request, payment)))
  expect((await admitted.release()).kind).toBe('released')
  await admitted.complete('used')
  const poor = await signStockPayment(scheme, privateKeyToAccount(generatePrivateKey()), request)
  const { code } = expectRefused(await scheme.admit(withPayment(request, poor)))
  expect(code).toBe('payment-settlement-failed')
  // Four are left.
  const refused = expectRefused(await scheme.admit(withPayment(request, payment)))
  expect(refused).toMatchObject({ code: 'unknown-payer-limited', headers: { 'retry-after': '12' } })
  const elsewhere = { ...withPayment(request, payment), caller: () => 'home' }
  const shown = expectAdmitted(await scheme.admit(elsewhere))
  await shown.complete('used')
  expect(budget.counts).toEqual({ permitted: 4, proven: 1, refused: 1 })
})
