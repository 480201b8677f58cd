import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { paymentKey } from '../src/payment/ledger/ledger.ts'
import { createUptoUseFinder } from '../src/payment/upto/find-use.ts'
import { takeUpSettled } from '../src/payment/upto/follow-upto.ts'
import { stepUptoSettlements } from '../src/payment/upto/settle-upto.ts'
import { balanceOf } from './payment/approved-payer.ts'
import type { BareChain } from './payment/bare-chain.ts'
import { payTo, permit2, startUptoPlace, stepUntil, type UptoPlace } from './payment/upto-place.ts'
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
  expect(await findUse(payer, 3n)).toEqual({ kind: 'otherwise' })
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
