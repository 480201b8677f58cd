import { permit2Abi } from '@countersign/contracts/permit2'
import { createPublicClient, http, type Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { paymentKey } from '../src/payment/ledger/ledger.ts'
import { createUptoUseFinder } from '../src/payment/upto/find-use.ts'
import { takeUpSettled } from '../src/payment/upto/follow-upto.ts'
import { stepUptoSettlements } from '../src/payment/upto/settle-upto.ts'
import { balanceOf, giveEther, walletOf } from './payment/approved-payer.ts'
import type { BareChain } from './payment/bare-chain.ts'
import { startRpcProxy } from './payment/rpc-proxy.ts'
import { payTo, permit2, startUptoPlace, stepUntil, type UptoPlace } from './payment/upto-place.ts'
import type { UptoSettlement } from '../src/payment/upto/upto-settlement.ts'
import type { DurableLedger } from '../src/payment/ledger/durable-ledger.ts'

let place: UptoPlace
let chain: BareChain
let payer: UptoPlace['payer']

beforeAll(async () => {
  place = await startUptoPlace()
  ;({ chain, payer } = place)
})
afterAll(() => place.stop())

const charge = (ledger: DurableLedger, nonce: bigint, amountAtomic: bigint): Promise<void> =>
  place.charge(ledger, { nonce, amountAtomic })

test('a settlement of upto that is taken back is owed again, and settled once', async () => {
  const ledger = await place.openLedger('one')
  onTestFinished(() => ledger.close())
  const settlement = place.settlementOf(ledger)
  const before = await balanceOf(chain, payTo)
  await charge(ledger, 1n, 1234n)
  await stepUntil(settlement, () => place.stateOf(ledger, 1n) === 'settled')
  expect(await balanceOf(chain, payTo)).toBe(before + 1234n)
  await chain.reorganise(1)
  expect(await balanceOf(chain, payTo)).toBe(before)
  await stepUntil(settlement, () => place.stateOf(ledger, 1n) === 'charged')
  expect(ledger.state.payers.get(payer)?.unsettledAtomic).toBe(1234n)
  await stepUntil(settlement, () => place.stateOf(ledger, 1n) === 'settled')
  expect(await balanceOf(chain, payTo)).toBe(before + 1234n)
  // Final: nobody looks for it any more.
  await chain.mine(8)
  const key = paymentKey(payer, 1n)
  await stepUntil(settlement, () => settlement.watch?.isFollowed(key) === false)
  expect(ledger.state.payers.size).toBe(0)
})

test('what is taken back while no process runs is settled by the next one, from its journal', async () => {
  const first = await place.openLedger('two')
  const before = await balanceOf(chain, payTo)
  await charge(first, 2n, 777n)
  await stepUntil(place.settlementOf(first), () => place.stateOf(first, 2n) === 'settled')
  await first.close()
  await chain.reorganise(1)
  expect(await balanceOf(chain, payTo)).toBe(before)
  const ledger = await place.openLedger('two')
  expect(place.stateOf(ledger, 2n)).toBe('settled')
  const settlement = place.settlementOf(ledger)
  takeUpSettled(settlement)
  await stepUntil(settlement, () => place.stateOf(ledger, 2n) === 'charged')
  await ledger.close()
  // And that one dies when it has noticed.
  const again = await place.openLedger('two')
  onTestFinished(() => again.close())
  expect(place.stateOf(again, 2n)).toBe('charged')
  await stepUntil(place.settlementOf(again), () => place.stateOf(again, 2n) === 'settled')
  expect(await balanceOf(chain, payTo)).toBe(before + 777n)
})

test('what an earlier process settled longer ago than is looked back is final, and not owed', async () => {
  const first = await place.openLedger('three')
  await charge(first, 3n, 555n)
  await stepUntil(place.settlementOf(first), () => place.stateOf(first, 3n) === 'settled')
  await first.close()
  const ledger = await place.openLedger('three')
  onTestFinished(() => ledger.close())
  // Its nonce is used, and no event is found of it: so it is after 100,000 blocks.
  const findUse = createUptoUseFinder(place.reads.client, { permit2, settler: payer })
  const settlement = { ...place.settlementOf(ledger), findUse }
  expect(await findUse(payer, 3n)).toMatchObject({ kind: 'otherwise' })
  takeUpSettled(settlement)
  const key = paymentKey(payer, 3n)
  for (let steps = 0; steps < 4; steps++) await stepUptoSettlements(settlement)
  expect(place.stateOf(ledger, 3n)).toBe('settled')
  await chain.mine(8)
  await stepUntil(settlement, () => settlement.watch?.isFollowed(key) === false)
  expect(place.stateOf(ledger, 3n)).toBe('settled')
})

test('a settlement that cannot be looked for holds up no charge that is owed', async () => {
  const first = await place.openLedger('four')
  await charge(first, 4n, 444n)
  await stepUntil(place.settlementOf(first), () => place.stateOf(first, 4n) === 'settled')
  await first.close()
  const ledger = await place.openLedger('four')
  onTestFinished(() => ledger.close())
  const refused = new Error('the node reads no range')
  const settlement = { ...place.settlementOf(ledger), findUse: () => Promise.reject(refused) }
  takeUpSettled(settlement)
  await charge(ledger, 5n, 333n)
  const end = performance.now() + 60_000
  while (place.stateOf(ledger, 5n) !== 'settled') {
    expect(performance.now()).toBeLessThan(end)
    await expect(stepUptoSettlements(settlement)).rejects.toThrow(refused)
  }
})

/** With the usual certainty, and a clock that a test moves. */
function doubting(
  ledger: DurableLedger,
  client = place.reads.client,
): { readonly settlement: UptoSettlement; readonly now: { ms: number }; readonly looks: Hex[] } {
  const now = { ms: Date.now() }
  const looks: Hex[] = []
  const { certainty: _, ...usual } = place.settlementOf(ledger)
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
  const ledger = await place.openLedger('six')
  onTestFinished(() => ledger.close())
  const { settlement, now, looks } = doubting(ledger)
  await charge(ledger, 6n, 60n)
  await giveEther(chain, payer)
  const hash = await walletOf(chain, privateKeyToAccount(place.payerKey)).writeContract({
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
  expect([looks.length, place.stateOf(ledger, 6n)]).toEqual([3, 'charged'])
  await chain.mine(1)
  now.ms += 4999
  await stepUptoSettlements(settlement)
  expect(place.stateOf(ledger, 6n)).toBe('charged')
  now.ms += 1
  await stepUptoSettlements(settlement)
  expect(place.stateOf(ledger, 6n)).toBe('failed')
  expect(ledger.state.payers.get(payer)).toMatchObject({ failedAtomic: 60n })
  expect(settlement.doubts.size).toBe(0)
})

test('blocks without time end nothing, and what the node shows late of a settlement counts', async () => {
  const ledger = await place.openLedger('seven')
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
  expect(place.stateOf(ledger, 7n)).toBe('charged')
  expect(settlement.doubts.size).toBe(1)
  proxy.rule = undefined
  now.ms += 5000
  await stepUptoSettlements(observed)
  expect(place.stateOf(ledger, 7n)).toBe('settled')
  expect(settlement.doubts.size).toBe(0)
  expect(ledger.state.payers.get(payer)?.failedAtomic ?? 0n).toBe(0n)
})
