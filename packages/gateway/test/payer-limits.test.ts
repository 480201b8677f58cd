import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createPayerLimits, type CallLimits, type PayerLimits } from '../src/limits/payer-limits.ts'

type Setup = { readonly limits: PayerLimits; readonly clock: { nowMs: number } }

function setUp(general: CallLimits): Setup {
  const clock = { nowMs: 1_000_000 }
  return { limits: createPayerLimits(general, () => clock.nowMs), clock }
}

/** Takes a call that ends at once; what it is told, if anything. */
function call({ limits }: Setup, payer: string, own?: CallLimits): string | undefined {
  const id = new Uint8Array(16)
  const reached = limits.enter(id, payer, own)
  limits.leave(id)
  return reached && `${reached.code} ${reached.headers['retry-after']}`
}

test('limits nobody unless it is told to', () => {
  const setup = setUp({})
  for (let count = 0; count < 1000; count++) expect(call(setup, 'a')).toBeUndefined()
})

test('takes so many calls a minute of each payer, and says when to come again', () => {
  const setup = setUp({ callsPerMinute: 3 })
  for (let count = 0; count < 3; count++) expect(call(setup, 'a')).toBeUndefined()
  expect(call(setup, 'a')).toBe('rate-limited 20')
  expect(call(setup, 'b')).toBeUndefined()
  setup.clock.nowMs += 19_000
  expect(call(setup, 'a')).toBe('rate-limited 1')
  setup.clock.nowMs += 1000
  expect(call(setup, 'a')).toBeUndefined()
  expect(call(setup, 'a')).toBe('rate-limited 20')
})

test('takes no more at once than the burst, and no fewer in the long run', () => {
  const setup = setUp({ callsPerMinute: 60, burst: 2 })
  setup.clock.nowMs += 3_600_000
  expect([1, 2, 3].map(() => call(setup, 'a'))).toEqual([undefined, undefined, 'rate-limited 1'])
  for (let count = 0; count < 100; count++) {
    setup.clock.nowMs += 1000
    expect(call(setup, 'a')).toBeUndefined()
  }
})

test('a clock that goes back gives nothing', () => {
  const setup = setUp({ callsPerMinute: 1 })
  expect(call(setup, 'a')).toBeUndefined()
  setup.clock.nowMs -= 600_000
  expect(call(setup, 'a')).toBe('rate-limited 60')
  setup.clock.nowMs += 59_000
  expect(call(setup, 'a')).toBe('rate-limited 1')
})

test('takes so many calls at a time, and gives each place back once', () => {
  const { limits } = setUp({ concurrentCalls: 2 })
  const ids = Array.from({ length: 4 }, () => new Uint8Array(16))
  const [first, second, third, fourth] = ids
  if (!first || !second || !third || !fourth) throw new Error('four ids')
  expect(limits.enter(first, 'a')).toBeUndefined()
  expect(limits.enter(second, 'a')).toBeUndefined()
  expect(limits.enter(third, 'a')).toMatchObject({
    code: 'concurrency-limited',
    headers: { 'retry-after': '1', 'x-should-retry': 'true' },
  })
  limits.leave(third)
  limits.leave(first)
  limits.leave(first)
  expect(limits.enter(third, 'a')).toBeUndefined()
  expect(limits.enter(fourth, 'a')?.code).toBe('concurrency-limited')
})

test('a refused call takes neither a token nor a place', () => {
  const { limits, clock } = setUp({ callsPerMinute: 2, concurrentCalls: 1 })
  const running = new Uint8Array(16)
  expect(limits.enter(running, 'a')).toBeUndefined()
  for (let count = 0; count < 10; count++) {
    expect(limits.enter(new Uint8Array(16), 'a')?.code).toBe('concurrency-limited')
  }
  limits.leave(running)
  expect(call({ limits, clock }, 'a')).toBeUndefined()
  expect(call({ limits, clock }, 'a')).toBe('rate-limited 30')
})

test('limits of a payer stand in place of the general ones, each by itself', () => {
  const setup = setUp({ callsPerMinute: 1, burst: 5, concurrentCalls: 1 })
  expect([1, 2].map(() => call(setup, 'a', { callsPerMinute: 2 }))).toEqual([undefined, undefined])
  expect(call(setup, 'a', { callsPerMinute: 2 })).toBe('rate-limited 30')
  const free = setUp({})
  expect(call(free, 'a', { callsPerMinute: 1 })).toBeUndefined()
  expect(call(free, 'a', { callsPerMinute: 1 })).toBe('rate-limited 60')
  expect(call(free, 'b')).toBeUndefined()
})

test('forgets the payer who has not called for longest, and nobody who is calling', () => {
  const setup = setUp({ callsPerMinute: 1 })
  // As many as are looked at in one step, and more.
  const held = Array.from({ length: 40 }, (_, index) => `held ${index}`)
  for (const name of held) expect(setup.limits.enter(new Uint8Array(16), name)).toBeUndefined()
  expect(call(setup, 'early')).toBeUndefined()
  for (let count = 0; count < 100_000; count++) call(setup, `other ${count}`)
  expect(call(setup, 'other 99999')).toBe('rate-limited 60')
  expect(call(setup, 'other 60000')).toBe('rate-limited 60')
  for (const name of held) expect(call(setup, name)).toBe('rate-limited 60')
  expect(call(setup, 'early')).toBeUndefined()
  expect(call(setup, 'other 40000')).toBeUndefined()
})

test('never takes more in any stretch of time than the rate and the burst allow', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.integer({ min: 1, max: 10 }),
      fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 100 }),
      (callsPerMinute, burst, pausesMs) => {
        const setup = setUp({ callsPerMinute, burst })
        const startMs = setup.clock.nowMs
        let taken = 0
        for (const pauseMs of pausesMs) {
          setup.clock.nowMs += pauseMs
          if (call(setup, 'a') === undefined) taken++
          const allowed = burst + ((setup.clock.nowMs - startMs) * callsPerMinute) / 60_000
          expect(taken).toBeLessThanOrEqual(allowed + 1e-6)
        }
      },
    ),
  )
})
