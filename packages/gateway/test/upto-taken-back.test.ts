import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { permit2Abi } from '@countersign/contracts/permit2'
import { encodeEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import { createUptoChargeHasher } from '@countersign/protocol/payment/upto-charge'
import { createPublicClient, http, keccak256, type Hex } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createTransactionBook } from '../src/payment/channel/transaction-book.ts'
import { loadEvmCurve } from '../src/payment/evm-curve.ts'
import { createChain, type Chain } from '../src/payment/exact/chain.ts'
import { createTerms } from '../src/payment/exact/offer.ts'
import { createSender } from '../src/payment/exact/sender.ts'
import { openDurableLedger, type DurableLedger } from '../src/payment/ledger/durable-ledger.ts'
import { paymentKey } from '../src/payment/ledger/ledger.ts'
import type { UptoPermit } from '../src/payment/ledger/upto-account.ts'
import { createSettlementWatch } from '../src/payment/settlement-watch.ts'
import { createUptoUseFinder } from '../src/payment/upto/find-use.ts'
import { takeUpSettled } from '../src/payment/upto/follow-upto.ts'
import { stepUptoSettlements } from '../src/payment/upto/settle-upto.ts'
import type { UptoSettlement } from '../src/payment/upto/upto-settlement.ts'
import { wordOf } from './ledger/sample-events.ts'
import { balanceOf, createApprovedPayer, giveEther, walletOf } from './payment/approved-payer.ts'
import { startBareChain, type BareChain } from './payment/bare-chain.ts'
import { startRpcProxy } from './payment/rpc-proxy.ts'
import { lower } from './payment/channel-payer.ts'
import { deployOperator, type TestOperator } from './payment/operator.ts'

const payTo = privateKeyToAddress(keccak256('0x55'))
const permit2 = lower(baseSepoliaX402.permit2)
const directory = mkdtempSync(join(tmpdir(), 'countersign-taken-'))
const ending = new AbortController()
const curve = await loadEvmCurve()
let chain: BareChain
let reads: Chain
let operator: TestOperator
let settlementKey: Hex
let payerKey: Hex
let payer: Hex

beforeAll(async () => {
  chain = await startBareChain()
  settlementKey = chain.nextSettlementKey()
  operator = await deployOperator(chain, keccak256('0x66'), payTo)
  await operator.registerKey(settlementKey)
  payerKey = await createApprovedPayer(chain)
  payer = lower(privateKeyToAddress(payerKey))
  const { address: asset } = baseSepoliaUsdc
  reads = createChain(
    createTerms({
      network: 'eip155:84532',
      asset,
      assetName: 'USDC',
      assetVersion: '2',
      payTo,
      maxTimeoutSeconds: 60,
      resourceBaseUrl: '',
    }),
    chain.rpcUrl,
    ending.signal,
  )
})
afterAll(async () => {
  ending.abort()
  await chain.stop()
  rmSync(directory, { recursive: true })
})

function openLedger(name: string): Promise<DurableLedger> {
  return openDurableLedger({
    directory: join(directory, name),
    clock: Date.now,
    onFault: (error) => {
      throw error
    },
  })
}

function settlementOf(ledger: DurableLedger): UptoSettlement {
  const account = privateKeyToAccount(settlementKey)
  const book = createTransactionBook(ledger)
  const settler = lower(operator.settler)
  return {
    ledger,
    sender: createSender({
      chain: reads,
      chainId: 84_532,
      account,
      ledger: book,
      signal: ending.signal,
    }),
    settler,
    hashCharge: createUptoChargeHasher(84_532n, settler),
    sign: (digest) => curve.sign(digest, Buffer.from(settlementKey.slice(2), 'hex')),
    simulate: (call) => chain.client.call({ account: account.address, ...call }),
    reverted: new Map(),
    doubts: new Map(),
    // What the chain says is believed at once; `certainty` has a test of its own.
    certainty: { blocks: 0n, ms: 0 },
    findUse: createUptoUseFinder(reads.client, { permit2, settler }),
    watch: createSettlementWatch(reads.client, 8),
    findAnyReceipt: (hash) => reads.findReceipt(hash, 1),
    findReceipt: (hash) => reads.findReceipt(hash, 1),
    clock: Date.now,
  }
}

/** A payment whose call has ended at this charge. */
async function charge(ledger: DurableLedger, nonce: bigint, amountAtomic: bigint): Promise<void> {
  const permit = {
    token: lower(baseSepoliaUsdc.address),
    amountAtomic: 5000n,
    spender: lower(baseSepoliaX402.uptoPermit2Proxy),
    nonce,
    deadlineSeconds: BigInt(Math.floor(Date.now() / 1000) + 120),
  }
  const witness = { to: lower(payTo), facilitator: lower(operator.settler), validAfterSeconds: 0n }
  const digest = createPermit2Domain(84_532n, permit2).hashUpto(permit, witness)
  const signature = encodeEvmSignature(curve.sign(digest, Buffer.from(payerKey.slice(2), 'hex')))
  const signed: UptoPermit = { ...permit, ...witness, signature }
  const callId = nonce.toString(16).padStart(32, '0')
  const funds = { fundsAtomic: 50_000n, maxExposureAtomic: 50_000n }
  ledger.apply({
    type: 'upto-reserved',
    payer,
    permit: signed,
    callId,
    requestHash: wordOf(1),
    ...funds,
  })
  ledger.apply({ type: 'upto-charged', payer, nonce, amountAtomic })
  await ledger.durable()
}

function stateOf(ledger: DurableLedger, nonce: bigint): string | undefined {
  return ledger.state.payments.get(paymentKey(payer, nonce))?.state.kind
}

async function stepUntil(settlement: UptoSettlement, isDone: () => boolean): Promise<void> {
  for (let steps = 0; !isDone(); steps++) {
    if (steps > 60) throw new Error('the chain did not bring it about')
    await stepUptoSettlements(settlement)
  }
}

test('a settlement of upto that is taken back is owed again, and settled once', async () => {
  const ledger = await openLedger('one')
  onTestFinished(() => ledger.close())
  const settlement = settlementOf(ledger)
  const before = await balanceOf(chain, payTo)
  await charge(ledger, 1n, 1234n)
  await stepUntil(settlement, () => stateOf(ledger, 1n) === 'settled')
  expect(await balanceOf(chain, payTo)).toBe(before + 1234n)
  await chain.reorganise(1)
  expect(await balanceOf(chain, payTo)).toBe(before)
  await stepUntil(settlement, () => stateOf(ledger, 1n) === 'charged')
  expect(ledger.state.payers.get(payer)?.unsettledAtomic).toBe(1234n)
  await stepUntil(settlement, () => stateOf(ledger, 1n) === 'settled')
  expect(await balanceOf(chain, payTo)).toBe(before + 1234n)
  // Final: nobody looks for it any more.
  await chain.mine(8)
  const key = paymentKey(payer, 1n)
  await stepUntil(settlement, () => settlement.watch?.isFollowed(key) === false)
  expect(ledger.state.payers.size).toBe(0)
})

test('what is taken back while no process runs is settled by the next one, from its journal', async () => {
  const first = await openLedger('two')
  const before = await balanceOf(chain, payTo)
  await charge(first, 2n, 777n)
  await stepUntil(settlementOf(first), () => stateOf(first, 2n) === 'settled')
  await first.close()
  await chain.reorganise(1)
  expect(await balanceOf(chain, payTo)).toBe(before)
  const ledger = await openLedger('two')
  expect(stateOf(ledger, 2n)).toBe('settled')
  const settlement = settlementOf(ledger)
  takeUpSettled(settlement)
  await stepUntil(settlement, () => stateOf(ledger, 2n) === 'charged')
  await ledger.close()
  // And that one dies when it has noticed.
  const again = await openLedger('two')
  onTestFinished(() => again.close())
  expect(stateOf(again, 2n)).toBe('charged')
  await stepUntil(settlementOf(again), () => stateOf(again, 2n) === 'settled')
  expect(await balanceOf(chain, payTo)).toBe(before + 777n)
})

test('what an earlier process settled longer ago than is looked back is final, and not owed', async () => {
  const first = await openLedger('three')
  await charge(first, 3n, 555n)
  await stepUntil(settlementOf(first), () => stateOf(first, 3n) === 'settled')
  await first.close()
  const ledger = await openLedger('three')
  onTestFinished(() => ledger.close())
  // Its nonce is used, and no event is found of it: so it is after 100,000 blocks.
  const findUse = createUptoUseFinder(reads.client, { permit2, settler: payer })
  const settlement = { ...settlementOf(ledger), findUse }
  expect(await findUse(payer, 3n)).toMatchObject({ kind: 'otherwise' })
  takeUpSettled(settlement)
  const key = paymentKey(payer, 3n)
  for (let steps = 0; steps < 4; steps++) await stepUptoSettlements(settlement)
  expect(stateOf(ledger, 3n)).toBe('settled')
  await chain.mine(8)
  await stepUntil(settlement, () => settlement.watch?.isFollowed(key) === false)
  expect(stateOf(ledger, 3n)).toBe('settled')
})

test('a settlement that cannot be looked for holds up no charge that is owed', async () => {
  const first = await openLedger('four')
  await charge(first, 4n, 444n)
  await stepUntil(settlementOf(first), () => stateOf(first, 4n) === 'settled')
  await first.close()
  const ledger = await openLedger('four')
  onTestFinished(() => ledger.close())
  const refused = new Error('the node reads no range')
  const settlement = { ...settlementOf(ledger), findUse: () => Promise.reject(refused) }
  takeUpSettled(settlement)
  await charge(ledger, 5n, 333n)
  for (let steps = 0; steps < 10; steps++) {
    await expect(stepUptoSettlements(settlement)).rejects.toThrow(refused)
  }
  expect(stateOf(ledger, 5n)).toBe('settled')
})

/** With the usual certainty, and a clock that a test moves. */
function doubting(
  ledger: DurableLedger,
  client = reads.client,
): { readonly settlement: UptoSettlement; readonly now: { ms: number }; readonly looks: Hex[] } {
  const now = { ms: Date.now() }
  const looks: Hex[] = []
  const { certainty: _, ...usual } = settlementOf(ledger)
  const findUse = createUptoUseFinder(client, { permit2, settler: usual.settler })
  const settlement = {
    ...usual,
    clock: () => now.ms,
    findUse: (...asked: Parameters<typeof findUse>) => {
      looks.push(asked[0])
      return findUse(...asked)
    },
  }
  return { settlement, now, looks }
}

test('a nonce that was used otherwise ends its payment when the chain has said so for blocks and a minute', async () => {
  const ledger = await openLedger('six')
  onTestFinished(() => ledger.close())
  const { settlement, now, looks } = doubting(ledger)
  await charge(ledger, 6n, 60n)
  await giveEther(chain, payer)
  const hash = await walletOf(chain, privateKeyToAccount(payerKey)).writeContract({
    address: permit2,
    abi: permit2Abi,
    functionName: 'invalidateUnorderedNonces',
    args: [0n, 1n << 6n],
  })
  await chain.mined(hash)
  await stepUptoSettlements(settlement)
  expect(looks).toHaveLength(1)
  // It is not looked for in every step.
  for (let step = 0; step < 5; step++) await stepUptoSettlements(settlement)
  expect(looks).toHaveLength(1)
  // Time alone is not enough, nor are blocks.
  now.ms += 120_000
  await stepUptoSettlements(settlement)
  await chain.mine(15)
  now.ms += 5000
  await stepUptoSettlements(settlement)
  expect([looks.length, stateOf(ledger, 6n)]).toEqual([3, 'charged'])
  await chain.mine(1)
  now.ms += 4999
  await stepUptoSettlements(settlement)
  expect(stateOf(ledger, 6n)).toBe('charged')
  now.ms += 1
  await stepUptoSettlements(settlement)
  expect(stateOf(ledger, 6n)).toBe('failed')
  expect(ledger.state.payers.get(payer)).toMatchObject({ failedAtomic: 60n })
  expect(settlement.doubts.size).toBe(0)
})

test('blocks without time end nothing, and what the node shows late of a settlement counts', async () => {
  const ledger = await openLedger('seven')
  onTestFinished(() => ledger.close())
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const client = createPublicClient({ transport: http(proxy.url), cacheTime: 0 })
  const { settlement, now } = doubting(ledger, client)
  await charge(ledger, 7n, 70n)
  const before = await balanceOf(chain, payTo)
  // A stranger settles it, and the index of events of this node is behind.
  proxy.rule = (method) => (method === 'eth_getLogs' ? { result: [] } : 'forward')
  const stranger = walletOf(chain, privateKeyToAccount(chain.nextSettlementKey()))
  let sent: Promise<Hex> | undefined
  const simulate: UptoSettlement['simulate'] = async (call) => {
    sent ??= stranger.sendTransaction(call)
    await chain.mined(await sent)
    return settlement.simulate(call)
  }
  const observed = { ...settlement, simulate }
  await stepUptoSettlements(observed)
  expect(await balanceOf(chain, payTo)).toBe(before + 70n)
  await chain.mine(40)
  now.ms += 59_999
  await stepUptoSettlements(observed)
  expect(stateOf(ledger, 7n)).toBe('charged')
  expect(settlement.doubts.size).toBe(1)
  proxy.rule = undefined
  now.ms += 5000
  await stepUptoSettlements(observed)
  expect(stateOf(ledger, 7n)).toBe('settled')
  expect(settlement.doubts.size).toBe(0)
  expect(ledger.state.payers.get(payer)?.failedAtomic ?? 0n).toBe(0n)
})
