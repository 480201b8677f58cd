import { ExecutionRevertedError, RpcRequestError } from 'viem'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { DurableLedger } from '../src/payment/ledger/durable-ledger.ts'
import { stepUptoSettlements } from '../src/payment/upto/settle-upto.ts'
import type { UptoSettlement } from '../src/payment/upto/upto-settlement.ts'
import { until } from '../../../test/attacks/waiting.ts'
import { lower } from './payment/channel-payer.ts'
import { startUptoPlace, type UptoPlace } from './payment/upto-place.ts'

let place: UptoPlace

beforeAll(async () => {
  place = await startUptoPlace()
})
afterAll(() => place.stop())

async function openLedger(name: string): Promise<DurableLedger> {
  const ledger = await place.openLedger(name)
  onTestFinished(() => ledger.close())
  return ledger
}

function refuse(message: string): RpcRequestError {
  const error = { code: -32_000, message }
  return new RpcRequestError({ body: {}, url: 'http://node.invalid/', error })
}

test('a charge that ended, and whose fate the node refuses to tell, holds up no other', async () => {
  const ledger = await openLedger('untold')
  const payerKey = generatePrivateKey()
  const poor = lower(privateKeyToAddress(payerKey))
  await place.charge(ledger, { nonce: 1n, amountAtomic: 1n, payerKey, forSeconds: -10 })
  await place.charge(ledger, { nonce: 2n, amountAtomic: 1n })
  const whole = place.settlementOf(ledger)
  const refusal = refuse('block range is too large')
  const settlement: UptoSettlement = {
    ...whole,
    findUse: (payer, nonce) =>
      payer === poor ? Promise.reject(refusal) : whole.findUse(payer, nonce),
  }
  await expect(stepUptoSettlements(settlement)).rejects.toBe(refusal)
  expect([...ledger.state.transactions.values()]).toMatchObject([{ purpose: { nonce: 2n } }])
})

test('a charge that was postponed by a clock that was ahead is sent when the clock is set right', async () => {
  const ledger = await openLedger('set-back')
  await place.charge(ledger, { nonce: 11n, amountAtomic: 1n, forSeconds: 7000 })
  const whole = place.settlementOf(ledger)
  const busy = refuse('busy')
  const ahead: UptoSettlement = {
    ...whole,
    clock: () => Date.now() + 3_600_000,
    simulate: () => Promise.reject(busy),
  }
  await expect(stepUptoSettlements(ahead)).rejects.toBe(busy)
  await stepUptoSettlements(whole)
  expect([...ledger.state.transactions.values()]).toMatchObject([{ purpose: { nonce: 11n } }])
})

test('charges that strangers settled a block ago hold up no other', async () => {
  const ledger = await openLedger('young')
  const count = 101
  for (let nonce = 1; nonce <= count; nonce++) {
    await place.charge(ledger, { nonce: 1000n + BigInt(nonce), amountAtomic: 1n })
  }
  await place.charge(ledger, { nonce: 2000n, amountAtomic: 1n, forSeconds: 1000 })
  const whole = place.settlementOf(ledger)
  const transaction = `0x${'0'.repeat(64)}` as const
  // Owned by the test: how often it was asked what became of a charge.
  let asked = 0
  const settlement: UptoSettlement = {
    ...whole,
    simulate: (call) => {
      const isLast = call.data.includes((2000).toString(16).padStart(64, '0'))
      return isLast ? whole.simulate(call) : Promise.reject(new ExecutionRevertedError({}))
    },
    findUse: () => {
      asked++
      return Promise.resolve({ kind: 'settled', transaction, amountAtomic: 1n })
    },
    findReceipt: () => Promise.resolve(undefined),
  }
  await stepUptoSettlements(settlement)
  await stepUptoSettlements(settlement)
  expect(asked).toBe(count)
  expect([...ledger.state.transactions.values()]).toMatchObject([{ purpose: { nonce: 2000n } }])
})

test('more charges of poor payers than a step takes do not keep a new one waiting', async () => {
  const ledger = await openLedger('poor')
  const payerKey = generatePrivateKey()
  const poor = lower(privateKeyToAddress(payerKey))
  const count = 150
  for (let nonce = 1; nonce <= count; nonce++) {
    const charge = { nonce: BigInt(nonce), amountAtomic: 1n, payerKey, forSeconds: 600 }
    await place.charge(ledger, charge)
  }
  // Owned by the test: the time, and whose charges were tried.
  let nowMs = Date.now()
  let triedPoor = 0
  const whole = place.settlementOf(ledger)
  const settlement: UptoSettlement = {
    ...whole,
    clock: () => nowMs,
    simulate: (call) => {
      if (call.data.includes(poor.slice(2))) triedPoor++
      return whole.simulate(call)
    },
  }
  expect(await stepUptoSettlements(settlement)).toBe(true)
  expect(await stepUptoSettlements(settlement)).toBe(false)
  expect(triedPoor).toBe(count)
  nowMs += 60_000
  await place.charge(ledger, { nonce: 3000n, amountAtomic: 1n, forSeconds: 1000 })
  expect(await stepUptoSettlements(settlement)).toBe(true)
  expect([...ledger.state.transactions.values()]).toMatchObject([{ purpose: { nonce: 3000n } }])
  expect(triedPoor).toBe(count + 99)
})

test('a transaction that moved nothing, and whose fate the node refuses to tell, holds up no other', async () => {
  const ledger = await openLedger('unmoved')
  const whole = place.settlementOf(ledger)
  await place.charge(ledger, { nonce: 4001n, amountAtomic: 1n })
  await stepUptoSettlements(whole)
  const [first] = ledger.state.transactions.values()
  if (first === undefined) throw new Error('nothing was sent')
  expect(await until(async () => (await whole.findReceipt(first.hash)) !== undefined)).toBe(true)
  await place.charge(ledger, { nonce: 4002n, amountAtomic: 1n })
  const refusal = refuse('block range is too large')
  const settlement: UptoSettlement = {
    ...whole,
    findUse: () => Promise.reject(refusal),
    findReceipt: async (hash) => {
      const receipt = await whole.findReceipt(hash)
      return receipt === undefined || hash !== first.hash ? receipt : { ...receipt, logs: [] }
    },
  }
  await expect(stepUptoSettlements(settlement)).rejects.toBe(refusal)
  expect(place.stateOf(ledger, 4001n)).toBe('charged')
  expect([...ledger.state.transactions.values()]).toMatchObject([{ purpose: { nonce: 4002n } }])
  // It is told at last.
  await stepUptoSettlements({ ...whole, clock: () => Date.now() + 5000 })
  expect(place.stateOf(ledger, 4001n)).toBe('settled')
})
