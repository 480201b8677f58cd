import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAnswerCache, maxKeptAnswerBytes, type KeptAnswer } from '../src/call/answer-cache.ts'

function answerOf(sizeBytes: number): KeptAnswer {
  const receipt = { idHex: '00', token: 't', statement: 's' }
  return { status: 200, headers: {}, body: Buffer.alloc(sizeBytes), receipt }
}

/** What is kept beside a body of `answerOf`. */
const headBytes = '00\nt\ns'.length

test('gives an answer back until its time is over, and only under its own id', () => {
  const cache = createAnswerCache(1000, 50)
  const answer = answerOf(10)
  cache.put('a', answer, 100)
  expect(cache.get('a', 149)).toEqual(answer)
  expect(cache.get('a', 150)).toBeUndefined()
  expect(cache.get('b', 100)).toBeUndefined()
})

test('lets the oldest answers go when it is full', () => {
  const cache = createAnswerCache(3 * (headBytes + 10), 50)
  for (const id of ['a', 'b', 'c']) cache.put(id, answerOf(10), 0)
  cache.put('d', answerOf(10), 1)
  expect(['a', 'b', 'c', 'd'].map((id) => cache.get(id, 1) !== undefined)).toEqual([
    false,
    true,
    true,
    true,
  ])
  cache.put('e', answerOf(25 + 2 * headBytes), 1)
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
  const small = createAnswerCache(headBytes + 10, 50)
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

test('gives back what was kept, whatever was kept and let go since, and nobody can change it', () => {
  const sizes = fc.oneof(fc.nat({ max: 3000 }), fc.integer({ min: 100_000, max: 400_000 }))
  const puts = fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), sizes, fc.string()), {
    minLength: 20,
    maxLength: 50,
  })
  let found = 0
  fc.assert(
    fc.property(puts, (all) => {
      const cache = createAnswerCache(2_000_000, 40)
      const put = new Map<string, KeptAnswer>()
      for (const [index, [id, sizeBytes, text]] of all.entries()) {
        const receipt = { idHex: `${id}`, token: text, statement: `${index}` }
        const headers = { 'x-request-id': text, 'content-type': 'é' }
        const body = Buffer.alloc(sizeBytes, index + 1)
        const answer: KeptAnswer = { status: 200 + index, headers, body, receipt }
        cache.put(`${id}`, { ...answer, body: Buffer.from(body) }, index)
        put.set(`${id}`, answer)
        for (const [each, kept] of put) {
          const answered = cache.get(each, index)
          if (answered === undefined) continue
          found++
          expect({ ...answered, body: null }).toEqual({ ...kept, body: null })
          expect(answered.body.equals(kept.body)).toBe(true)
          // As if it were written over while it is being sent.
          answered.body.fill(0)
        }
      }
    }),
    { numRuns: 20 },
  )
  expect(found).toBeGreaterThan(100)
})
