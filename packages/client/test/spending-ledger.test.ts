import { expect, test } from 'vitest'
import { ClientError } from '@countersign/client'
import { createSpendingLedger, readDayKey } from '../src/pay/spending-ledger.ts'
import { openClientState } from '../src/pay/client-state.ts'
import { refusalOf } from './kit/fetch-fixture.ts'

const dayMs = 86_400_000
const place = { origin: 'https://a.example', network: 'eip155:1', asset: '0xaa' }
const elsewhere = { ...place, origin: 'https://b.example' }

function openText(text: string): Promise<string> {
  return refusalOf(
    openClientState({
      read: () => Promise.resolve(Uint8Array.from(Buffer.from(text))),
      write: () => Promise.resolve(),
    }),
  )
}

function codeOf(act: () => unknown): string {
  try {
    act()
    return 'accepted'
  } catch (error) {
    if (error instanceof ClientError) return error.code
    throw error
  }
}

test('each rule holds for its host and asset, and all that apply hold', () => {
  const rules = [
    { host: place.origin, perDayAtomic: 100n },
    { asset: { network: 'eip155:1', address: '0xAA' }, perDayAtomic: 150n },
  ]
  const ledger = createSpendingLedger({ budgetAtomic: 1000n, rules }, new Map(), () => 0)
  ledger.reserve(place, 100n)
  expect(codeOf(() => ledger.reserve(place, 1n))).toBe('day-limit-reached')
  ledger.reserve(elsewhere, 50n)
  expect(codeOf(() => ledger.reserve(elsewhere, 1n))).toBe('day-limit-reached')
  ledger.reserve({ ...elsewhere, asset: '0xbb' }, 800n)
  expect(codeOf(() => ledger.reserve({ ...elsewhere, asset: '0xbb' }, 51n))).toBe(
    'budget-exhausted',
  )
  expect(ledger.signedAtomic()).toBe(950n)
})

test('what is released or reduced can be spent again, once', () => {
  const rules = [{ perDayAtomic: 100n }]
  const ledger = createSpendingLedger({ budgetAtomic: 1000n, rules }, new Map(), () => 0)
  const first = ledger.reserve(place, 100n)
  first.reduceTo(40n)
  first.reduceTo(90n)
  expect(ledger.signedAtomic()).toBe(40n)
  const second = ledger.reserve(place, 60n)
  second.release()
  second.release()
  expect(ledger.signedAtomic()).toBe(40n)
  expect(codeOf(() => ledger.reserve(place, 61n))).toBe('day-limit-reached')
})

test('a new day has its own total, and a clock that is put back finds the old one', () => {
  let nowMs = 10 * dayMs
  const totals = new Map<string, bigint>()
  const rules = [{ perDayAtomic: 100n }]
  const ledger = createSpendingLedger({ budgetAtomic: 10_000n, rules }, totals, () => nowMs)
  ledger.reserve(place, 100n)
  nowMs += dayMs
  ledger.reserve(place, 100n)
  nowMs -= dayMs
  expect(codeOf(() => ledger.reserve(place, 1n))).toBe('day-limit-reached')
  nowMs += 5 * dayMs
  ledger.reserve(place, 1n)
  expect([...totals.keys()].map((key) => readDayKey(key)?.day)).toEqual([15])
})

test('a state that another program wrote is refused, whatever is wrong with it', async () => {
  for (const text of [
    '',
    '{}',
    '{"countersignPayer":2,"totals":{},"channels":[]}',
    '{"countersignPayer":1,"totals":[],"channels":[]}',
    '{"countersignPayer":1,"totals":{"x":"1"},"channels":[]}',
    '{"countersignPayer":1,"totals":{"1 a b c":"-1"},"channels":[]}',
    '{"countersignPayer":1,"totals":{},"channels":[{}]}',
  ]) {
    expect(await openText(text), text).toBe('state-malformed')
  }
})

test('a disk that fails stops all that would be signed after it', async () => {
  const state = await openClientState({
    read: () => Promise.resolve(undefined),
    write: () => Promise.reject(new ClientError('file-unwritable')),
  })
  expect(await refusalOf(state.durable())).toBe('file-unwritable')
  expect(await refusalOf(state.durable())).toBe('file-unwritable')
})

test('a state that could not be read again is not written, and the old one stays', async () => {
  let kept: Uint8Array | undefined
  const state = await openClientState({
    read: () => Promise.resolve(kept),
    write: (bytes) => {
      kept = bytes
      return Promise.resolve()
    },
  })
  state.totals.set('1 http://127.0.0.1 eip155:1 0x', 5n)
  await state.durable()
  const before = kept
  for (let day = 0; day < 60_000; day++) {
    state.totals.set(`${day} http://127.0.0.1 eip155:1 0x${'1'.repeat(40)}`, 5n)
  }
  expect(await refusalOf(state.durable())).toBe('file-unwritable')
  expect(kept).toBe(before)
  state.totals.clear()
  await state.durable()
  expect(kept).not.toBe(before)
})
