import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { stepUptoSettlements } from '../src/payment/upto/settle-upto.ts'
import type { UptoSettlement } from '../src/payment/upto/upto-settlement.ts'
import { balanceOf } from './payment/approved-payer.ts'
import { payTo, startUptoPlace, stepUntil, type UptoPlace } from './payment/upto-place.ts'

let place: UptoPlace

beforeAll(async () => {
  place = await startUptoPlace()
})
afterAll(() => place.stop())

test('of many charges a part is sent before it is judged, what ends first first, and all are settled once', async () => {
  const ledger = await place.openLedger('many')
  onTestFinished(() => ledger.close())
  const settlement = place.settlementOf(ledger)
  const count = 130
  for (let nonce = 1; nonce <= count; nonce++) {
    // In another order than that of their ends.
    const forSeconds = 1000 + ((nonce * 37) % count)
    await place.charge(ledger, { nonce: BigInt(nonce), amountAtomic: 1n, forSeconds })
  }
  expect(ledger.state.open.payments).toBe(count)
  expect(await stepUptoSettlements(settlement)).toBe(true)
  const sent = Array.from(ledger.state.transactions.values(), ({ purpose }) =>
    purpose.kind === 'upto' ? (Number(purpose.nonce) * 37) % count : count,
  )
  expect(sent.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index))
  await stepUntil(settlement, () => ledger.state.open.payments === 0)
  expect(await stepUptoSettlements(settlement)).toBe(false)
  expect(await balanceOf(place.chain, payTo)).toBe(BigInt(count))
  expect(ledger.state.payers.size).toBe(0)
})

test('charges whose payer cannot pay are tried ever more rarely, and once more before they end', async () => {
  const ledger = await place.openLedger('unpayable')
  onTestFinished(() => ledger.close())
  const payerKey = generatePrivateKey()
  const address = privateKeyToAddress(payerKey).slice(2).toLowerCase()
  const beganMs = Date.now()
  await place.charge(ledger, { nonce: 500n, amountAtomic: 1n, payerKey, forSeconds: 600 })
  // Owned by the test: the time that the settlement sees, and the seconds at which it asked for the poor payer.
  let seconds = 0
  const triedAt: number[] = []
  const whole = place.settlementOf(ledger)
  const settlement: UptoSettlement = {
    ...whole,
    clock: () => beganMs + seconds * 1000,
    simulate: (call) => {
      if (call.data.includes(address)) triedAt.push(seconds)
      return whole.simulate(call)
    },
  }
  for (; seconds < 590; seconds++) await stepUptoSettlements(settlement)
  expect(triedAt.slice(0, 9)).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183])
  // Whole seconds of the permit: the last moments come up to a second earlier than counted here.
  for (; seconds < 599; seconds++) await stepUptoSettlements(settlement)
  expect(triedAt.filter((second) => second >= 594 && second <= 596)).not.toEqual([])
  expect(ledger.state.open.payments).toBe(1)
  seconds = 602
  await stepUptoSettlements(settlement)
  expect(ledger.state.open.payments).toBe(0)
  expect([...ledger.state.payers.values()]).toMatchObject([{ failedAtomic: 1n }])
})
