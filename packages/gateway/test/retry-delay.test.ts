import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { computeRetryDelayMs, readRetryHint } from '../src/call/retry-delay.ts'

const nowMs = Date.parse('2026-11-21T12:00:00Z')
const none = Buffer.alloc(0)
const hint = (headers: Record<string, string>, body = ''): number | 'never' | undefined =>
  readRetryHint({ headers, body: Buffer.from(body) }, nowMs)

test.each<[Record<string, string>, string, number | 'never' | undefined]>([
  [{}, '', undefined],
  [{ 'retry-after': '3' }, '', 3000],
  [{ 'retry-after': '0.5' }, '', 500],
  [{ 'retry-after': 'Sat, 21 Nov 2026 12:00:05 GMT' }, '', 5000],
  [{ 'retry-after': 'Sat, 21 Nov 2026 11:00:00 GMT' }, '', 0],
  [{ 'retry-after': 'soon' }, '', undefined],
  [{ 'retry-after': '-1' }, '', undefined],
  [{ 'retry-after': '99999999999999999999' }, '', undefined],
  [{ 'retry-after-ms': '120.4', 'retry-after': '9' }, '', 121],
  [{ 'x-should-retry': 'false', 'retry-after': '1' }, '', 'never'],
  [{ 'x-should-retry': 'true', 'retry-after': '1' }, '', 1000],
  [{}, '{"error":{"code":"insufficient_quota"}}', 'never'],
  [{}, '{"error":{"details":[{"retryDelay": "34.4s"}]}}', 34_400],
])('reads what %j and %s ask for as %s', (headers, body, expected) => {
  expect(hint(headers, body)).toBe(expected)
})

test('reads hints of any form without a fault, and never one in the past', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (after, afterMs, body) => {
      const found = hint({ 'retry-after': after, 'retry-after-ms': afterMs }, body)
      if (typeof found === 'number') expect(found).toBeGreaterThanOrEqual(0)
    }),
  )
  expect(readRetryHint({ headers: { 'retry-after': ['1', '2'] }, body: none }, nowMs)).toBe(
    undefined,
  )
})

test('waits at least as long as it was asked to, at most the limit, and not the same time twice', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 60_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
      (attempts, maxDelayMs, random, share) => {
        const hintMs = share === undefined ? undefined : Math.floor(share * maxDelayMs)
        const delayMs = computeRetryDelayMs(attempts, hintMs, maxDelayMs, random)
        expect(delayMs).toBeLessThanOrEqual(maxDelayMs)
        expect(delayMs).toBeGreaterThanOrEqual(hintMs ?? 0)
      },
    ),
  )
  expect(computeRetryDelayMs(1, undefined, 2000, 0)).toBe(125)
  expect(computeRetryDelayMs(1, undefined, 2000, 0.5)).toBe(187)
  expect(computeRetryDelayMs(3, undefined, 2000, 0)).toBe(500)
  expect(computeRetryDelayMs(5, undefined, 2000, 0.99)).toBe(1990)
})
