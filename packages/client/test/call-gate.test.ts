import { expect, test } from 'vitest'
import { createCallGate } from '../src/pay/call-gate.ts'
import { refusalOf } from './kit/fetch-fixture.ts'

/** The names of those who may run, in the order in which they might. */
function watch(): { readonly enter: ReturnType<typeof createEnter>; readonly running: string[] } {
  const running: string[] = []
  return { running, enter: createEnter(running) }
}

const gate = createCallGate()

function createEnter(running: string[]) {
  return async (name: string, limit: number, isAlone = false, signal?: AbortSignal) => {
    await gate.enter(limit, isAlone, signal)
    running.push(name)
  }
}

/** What was decided before this is done after it. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

test('so many at once, one alone, in order; who gives up holds nobody up', async () => {
  const { running, enter } = watch()
  const giveUp = new AbortController()
  const entries = [
    enter('a', 2),
    enter('b', 2),
    enter('c', 2),
    enter('alone', 2, true),
    enter('d', 2).catch(() => undefined),
  ]
  const gone = enter('gone', 2, false, giveUp.signal).catch(() => 'gave up')
  await turn()
  expect(running).toEqual(['a', 'b'])
  gate.leave()
  await turn()
  expect(running).toEqual(['a', 'b', 'c'])
  giveUp.abort()
  expect(await gone).toBe('gave up')
  gate.leave()
  await turn()
  expect(running).not.toContain('alone')
  gate.leave()
  await turn()
  // Nobody beside it, however many there is room for.
  expect(running).toEqual(['a', 'b', 'c', 'alone'])
  gate.leave()
  await Promise.all(entries)
  expect(running).toEqual(['a', 'b', 'c', 'alone', 'd'])
  gate.leave()
})

test('a queue has a limit, and a signal that has fired enters nothing', async () => {
  const full = createCallGate()
  await full.enter(1, false, undefined)
  const waiting = Array.from({ length: 1024 }, () => full.enter(1, false, undefined))
  expect(await refusalOf(full.enter(1, false, undefined))).toBe('channel-busy')
  await expect(full.enter(1, false, AbortSignal.abort(new Error('late')))).rejects.toThrow('late')
  for (let index = 0; index <= waiting.length; index++) full.leave()
  await Promise.all(waiting)
})
