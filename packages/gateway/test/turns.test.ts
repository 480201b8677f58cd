import { expect, test } from 'vitest'
import { createTurns, type Turns } from '../src/call/turns.ts'

async function call(turns: Turns, name: string, taken: string[]): Promise<void> {
  await turns.end()
  taken.push(`${name}1`)
  await Promise.resolve()
  taken.push(`${name}2`)
}

test('calls of one turn take each step together, in the order in which they came', async () => {
  const turns = createTurns()
  const taken: string[] = []
  await Promise.all(['a', 'b', 'c'].map((name) => call(turns, name, taken)))
  expect(taken).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2'])
})

test('a turn ends after what was due in it', async () => {
  const turns = createTurns()
  const order: string[] = []
  const ended = turns.end().then(() => order.push('end'))
  process.nextTick(() => order.push('due'))
  void Promise.resolve().then(() => order.push('due too'))
  await ended
  expect(order.at(-1)).toBe('end')
  expect(order).toHaveLength(3)
})

test('who comes after the end of a turn waits for the next one', async () => {
  const turns = createTurns()
  const first = turns.end()
  expect(turns.end()).toBe(first)
  await first
  expect(turns.end()).not.toBe(first)
})
