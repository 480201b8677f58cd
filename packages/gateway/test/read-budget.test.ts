/** The budget of readings of the chain (spec/payment.md PA30). */
import { expect, test } from 'vitest'
import { createReadBudget, type ChainLook, type ReadPermit } from '../src/limits/read-budget.ts'

const minuteMs = 60_000

function open(strangersPerMinute: number, strangersPerAddress: number) {
  const now = { ms: 1_000_000 }
  const budget = createReadBudget({ strangersPerMinute, strangersPerAddress }, () => now.ms)
  const look = (payer: string, caller: string, more: Partial<ChainLook> = {}): ReadPermit =>
    budget.take({ payer, caller, ...more })
  return { now, budget, look }
}

function secondsOf(permit: ReadPermit): number {
  return permit.kind === 'limited' ? Number(permit.limited.headers['retry-after']) : 0
}

test('an address has so many looks of strangers, whatever keys it makes, and gets them back with time', () => {
  const { now, look, budget } = open(100, 3)
  for (let key = 0; key < 3; key++) expect(look(`0x${key}`, 'a').kind).toBe('permitted')
  const refused = look('0x9', 'a')
  expect(refused).toMatchObject({ limited: { code: 'unknown-payer-limited' } })
  expect(secondsOf(refused)).toBe(20)
  expect(look('0x9', 'b').kind).toBe('permitted')
  now.ms += 19_999
  expect(look('0x9', 'a').kind).toBe('limited')
  now.ms += 1
  expect(look('0x9', 'a').kind).toBe('permitted')
  expect(look('0x9', 'a').kind).toBe('limited')
  // A clock that goes back gives nothing.
  now.ms -= minuteMs
  expect(look('0x9', 'a').kind).toBe('limited')
  expect(budget.counts).toEqual({ permitted: 5, proven: 0, refused: 4 })
})

test('all strangers together have so many; known payers are not held up by them', () => {
  const { look } = open(4, 2)
  const first = look('0xknown', 'home')
  if (first.kind === 'permitted') first.proven()
  for (let caller = 0; caller < 4; caller++) {
    expect(look(`0x${caller}`, `address ${caller}`).kind).toBe('permitted')
  }
  expect(look('0xnew', 'another').kind).toBe('limited')
  // Known since the start, or by a record; also at the address of whoever used everything up.
  expect(look('0xknown', 'home').kind).toBe('permitted')
  expect(look('0xknown', 'address 0').kind).toBe('permitted')
  expect(look('0xrecord', 'another', { isKnown: true }).kind).toBe('permitted')
})

test('what is proven costs nothing, once', () => {
  const { look, budget } = open(100, 2)
  for (let payer = 0; payer < 20; payer++) {
    const permit = look(`0x${payer}`, 'a')
    if (permit.kind !== 'permitted') throw new Error(`payer ${payer}`)
    permit.proven()
    permit.proven()
  }
  expect(budget.counts).toEqual({ permitted: 20, proven: 20, refused: 0 })
  // Nothing was given back twice.
  expect(look('0xa', 'a').kind).toBe('permitted')
  expect(look('0xb', 'a').kind).toBe('permitted')
  expect(look('0xc', 'a').kind).toBe('limited')
})

test('whoever shows payments of a known payer uses up none of that payer’s own looks', () => {
  const { look } = open(100, 2)
  for (let count = 0; count < 2; count++) look('0xvictim', 'observer', { isKnown: true })
  expect(look('0xvictim', 'observer', { isKnown: true }).kind).toBe('limited')
  expect(look('0xvictim', 'home', { isKnown: true }).kind).toBe('permitted')
})

test('known payers have ten times as much together, and no more', () => {
  const { look } = open(3, 2)
  for (let payer = 0; payer < 30; payer++) {
    expect(look(`0x${payer}`, 'a', { isKnown: true }).kind).toBe('permitted')
  }
  expect(look('0xa', 'a', { isKnown: true }).kind).toBe('limited')
  // Strangers have their own.
  expect(look('0xb', 'a').kind).toBe('permitted')
})

test('a dear look takes several, at most all, and nothing of one budget when the other is empty', () => {
  const { look } = open(6, 6)
  expect(look('0x1', 'a', { count: 5 }).kind).toBe('permitted')
  const refused = look('0x1', 'a', { count: 5 })
  expect(secondsOf(refused)).toBe(40)
  // The total has one left: what was refused took nothing.
  expect(look('0x2', 'b').kind).toBe('permitted')
  expect(look('0x2', 'b').kind).toBe('limited')
  const small = open(2, 2)
  expect(small.look('0x1', 'a', { count: 5 }).kind).toBe('permitted')
  expect(small.look('0x1', 'a').kind).toBe('limited')
})

test('what is kept of callers is bounded', () => {
  const { look } = open(1_000_000, 1)
  look('0x1', 'first')
  expect(look('0x1', 'first').kind).toBe('limited')
  for (let caller = 0; caller < 50_000; caller++) look('0x1', `caller ${caller}`)
  // Forgotten: it is as new. The bound of all strangers holds without it.
  expect(look('0x1', 'first').kind).toBe('permitted')
})

test('one known payer that calls from everywhere uses up what all known payers have of no other', () => {
  const { look } = open(30, 2)
  let permitted = 0
  for (let caller = 0; caller < 400; caller++) {
    const { kind } = look('0xemptied', `address ${caller}`, { isKnown: true })
    if (kind === 'permitted') permitted++
  }
  // Ten times what it has at one address; then it counts as a stranger.
  expect(permitted).toBe(20 + 30)
  expect(look('0xother', 'home', { isKnown: true }).kind).toBe('permitted')
})
