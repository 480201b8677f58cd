import { expect, test } from 'vitest'
import { createBodyCollector } from '../src/call/body-collector.ts'

test('gives back every byte, in however many pieces it came', () => {
  const body = Buffer.from(Array.from({ length: 1000 }, (_, place) => place % 251))
  for (const size of [1, 2, 3, 7, 64, 999, 1000]) {
    const collector = createBodyCollector()
    for (let at = 0; at < body.length; at += size) collector.append(body.subarray(at, at + size))
    expect(collector.bytes().equals(body), `pieces of ${size}`).toBe(true)
  }
  expect(createBodyCollector().bytes()).toHaveLength(0)
})

test('never writes into a piece that it was given', () => {
  const first = Buffer.from('first')
  const collector = createBodyCollector()
  collector.append(Buffer.alloc(0))
  collector.append(first)
  collector.append(Buffer.from(' second'))
  expect(collector.bytes().toString()).toBe('first second')
  expect(first.toString()).toBe('first')
})
