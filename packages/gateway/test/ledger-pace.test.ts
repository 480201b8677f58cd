import { expect, test } from 'vitest'
import { createPace } from '../src/payment/ledger/journal-pace.ts'
import { encodeRecord, parseRecord } from '../src/payment/ledger/record-codec.ts'
import type { LedgerEvent } from '../src/payment/ledger/ledger.ts'
import { callOf, reservationOf, wordOf } from './ledger/sample-events.ts'

function toText(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}` : value
}

/** How often groups begin when a wait comes every `everyMs`, for `forMs`. */
function countGroups(everyMs: number, forMs: number, idleShare = 0.5): number {
  let idleMs = 0
  const pace = createPace(1, () => idleMs)
  let groups = 0
  let mayBeginAtMs = 0
  for (let nowMs = 0; nowMs < forMs; nowMs += everyMs) {
    idleMs = nowMs * idleShare
    pace.awaited(nowMs)
    if (nowMs < mayBeginAtMs) continue
    const waitMs = Math.max(0, pace.waitMs(nowMs))
    pace.began(nowMs + waitMs)
    mayBeginAtMs = nowMs + waitMs
    groups++
  }
  return groups
}

test('while few wait, each has a group of its own at once', () => {
  expect(countGroups(1, 200)).toBe(200)
  expect(countGroups(0.5, 200)).toBe(400)
})

test('when many wait, a group begins every millisecond', () => {
  const groups = countGroups(0.05, 1000)
  expect(groups).toBeGreaterThan(900)
  expect(groups).toBeLessThan(1300)
})

test('when the process has nothing to spare, a group begins every third millisecond however few wait', () => {
  const groups = countGroups(0.5, 3000, 0.05)
  expect(groups).toBeGreaterThan(900)
  expect(groups).toBeLessThan(1300)
})

test('after a burst the next one is written at once again', () => {
  let idleMs = 0
  const pace = createPace(1, () => idleMs)
  for (let index = 0; index < 500; index++) pace.awaited(index / 100)
  pace.began(5)
  expect(pace.waitMs(5.1)).toBeGreaterThan(0)
  expect(pace.waitMs(100)).toBe(0)
  idleMs = 50
  pace.awaited(100)
  expect(pace.waitMs(100)).toBe(0)
})

test('what is written by hand is what JSON.stringify writes, and comes back the same', () => {
  const channelId = wordOf(1)
  const callId = callOf(7)
  const events: readonly LedgerEvent[] = [
    reservationOf(channelId, 7, 2n ** 127n, 1n),
    { ...reservationOf(channelId, 7, 5n, 9n), mode: 'unique-ceiling', maxRunningCalls: 64 },
    { type: 'call-charged', channelId, callId, amountAtomic: 0n, atMs: 1_800_000_000_000 },
    { type: 'call-progressed', channelId, callId, provenAtomic: 12_345n },
    { type: 'call-released', channelId, callId },
    { type: 'receipt-issued', callId },
  ]
  for (const event of events) {
    const line = encodeRecord(event)
    expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(event, toText)))
    expect(parseRecord(line)).toEqual(event)
  }
})
