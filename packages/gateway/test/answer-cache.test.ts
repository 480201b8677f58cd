import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAnswerCache, maxKeptAnswerBytes, type KeptAnswer } from '../src/call/answer-cache.ts'

function answerOf(sizeBytes: number): KeptAnswer {
  const receipt = { idHex: '00', token: 't', statement: 's' }
  return { status: 200, headers: {}, body: Buffer.alloc(sizeBytes), receipt }
}

test('gives an answer back until its time is over, and only under its own id', () => {
  const cache = createAnswerCache(1000, 50)
  const answer = answerOf(10)
  cache.put('a', answer, 100)
  expect(cache.get('a', 149)).toBe(answer)
  expect(cache.get('a', 150)).toBeUndefined()
  expect(cache.get('b', 100)).toBeUndefined()
})

test('lets the oldest answers go when it is full', () => {
  const cache = createAnswerCache(30, 50)
  for (const id of ['a', 'b', 'c']) cache.put(id, answerOf(10), 0)
  cache.put('d', answerOf(10), 1)
  expect(['a', 'b', 'c', 'd'].map((id) => cache.get(id, 1) !== undefined)).toEqual([
    false,
    true,
    true,
    true,
  ])
  cache.put('e', answerOf(25), 1)
  expect(['b', 'c', 'd', 'e'].map((id) => cache.get(id, 1) !== undefined)).toEqual([
    false,
    false,
    false,
    true,
  ])
})

test('keeps no answer over 1 MiB, and none that is larger than itself', () => {
  const cache = createAnswerCache(10 * maxKeptAnswerBytes, 50)
  cache.put('a', answerOf(maxKeptAnswerBytes + 1), 0)
  cache.put('b', answerOf(maxKeptAnswerBytes), 0)
  expect(cache.get('a', 0)).toBeUndefined()
  expect(cache.get('b', 0)).toBeDefined()
  const small = createAnswerCache(10, 50)
  small.put('a', answerOf(11), 0)
  expect(small.get('a', 0)).toBeUndefined()
})

test('holds at most its limit, whatever is put, and always the newest that fits', () => {
  const puts = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.nat({ max: 60 })), {
    maxLength: 60,
  })
  fc.assert(
    fc.property(puts, (all) => {
      const cache = createAnswerCache(100, 1000)
      for (const [index, [id, sizeBytes]] of all.entries()) {
        cache.put(`${id}`, answerOf(sizeBytes), index)
        expect(cache.get(`${id}`, index)?.body).toHaveLength(sizeBytes)
        const held = Array.from({ length: 10 }, (_, other) => cache.get(`${other}`, index))
        const bytes = held.reduce((sum, answer) => sum + (answer?.body.length ?? 0), 0)
        expect(bytes).toBeLessThanOrEqual(100)
      }
    }),
  )
})
