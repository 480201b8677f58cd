import { expect, test } from 'vitest'
import { backOffMs, chooseStep, createPlaceMemory } from '../src/payment/collect/choose-step.ts'
import { eagerPolicy } from './payment/collect-fixture.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

test('steps are chosen by what lies where, and wait for a refused owner', () => {
  const nowMs = 1000
  const policy = { ...eagerPolicy, minAtomic: 10n }
  const choose = (
    inContractAtomic: bigint,
    heldAtomic: bigint,
    change: (memory: ReturnType<typeof createPlaceMemory>) => void = () => undefined,
    canForward = true,
  ): string | undefined => {
    const memory = createPlaceMemory()
    change(memory)
    const place = { inContractAtomic, heldAtomic, canForward }
    return chooseStep(place, memory, policy, { sinceMs: 0, nowMs })
  }
  expect(choose(9n, 9n)).toBeUndefined()
  expect(choose(10n, 10n)).toBe('settle')
  expect(choose(9n, 10n)).toBe('forward')
  expect(choose(0n, 10n, undefined, false)).toBeUndefined()
  const refuse = (memory: ReturnType<typeof createPlaceMemory>): void => {
    Object.assign(memory.forward, { refusals: 1, nextAtMs: nowMs + 1 })
  }
  expect(choose(10n, 10n, refuse)).toBeUndefined()
  // What is held is too little to be refused: it was brought on by somebody else.
  expect(choose(10n, 9n, refuse)).toBe('settle')
  expect(choose(10n, 10n, ({ settle }) => Object.assign(settle, { nextAtMs: nowMs + 1 }))).toBe(
    'forward',
  )
  expect([1, 2, 3, 40].map((times) => backOffMs(0, times, false))).toEqual([
    1000,
    2000,
    4000,
    6 * hourMs,
  ])
  expect([1, 2].map((times) => backOffMs(0, times, true))).toEqual([minuteMs, 2 * minuteMs])
  // An interval above six hours stays what it is.
  expect([1, 2].map((times) => backOffMs(dayMs, times, true))).toEqual([dayMs, dayMs])
})
