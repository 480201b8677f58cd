import { afterEach, expect, test } from 'vitest'
import { createUsageEstimator, type UsageEstimator } from '../../src/metering/usage-estimator.ts'
import {
  countBodyText,
  countRequestText,
  countStreamText,
} from '../../src/metering/visible-text.ts'
import { events } from './observe.ts'

const opened: UsageEstimator[] = []
const limits = { tokensPerAttachment: 1000 }

function open(options: Parameters<typeof createUsageEstimator>[0] = {}): UsageEstimator {
  const estimator = createUsageEstimator(options)
  opened.push(estimator)
  return estimator
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((estimator) => estimator.close()))
})

const request = Buffer.from('{"model":"m","messages":[{"role":"user","content":"Grüße"}]}')
const delta = (content: string): unknown => ({ id: 'x', choices: [{ delta: { content } }] })
const piece = (text: string): unknown => ({ output_index: 1, delta: text })
const stream = Buffer.from(events(delta('Hal'), delta('lo 😀')))

test('counts what a model wrote, by its bytes', () => {
  // "delta" and "content" are counted too: 12 bytes for each event.
  expect(countStreamText(stream)).toBe(2 * 12 + 3 + 7)
  expect(countStreamText(stream.subarray(0, -1))).toBe(2 * 12 + 3 + 7)
  expect(countStreamText(Buffer.from('data: [DONE]\n\n: x\n\n'))).toBe(0)
  expect(countBodyText(Buffer.from('{"id":"long","output":"abc"}'))).toBe(3)
  expect(countBodyText(Buffer.from('[{"candidates":["abc"]},{"candidates":["de"]}]'))).toBe(5)
  expect(countBodyText(Buffer.from([0xff, 0xfe, 0xfd]))).toBe(3)
})

test('counts an item once, whether it came in pieces, as a whole, or both', () => {
  const whole = { output_index: 1, item: { name: 'ab', arguments: 'cdef', output: 'not written' } }
  expect(countStreamText(Buffer.from(events(piece('abc'), piece('def'))))).toBe(6)
  expect(countStreamText(Buffer.from(events(whole)))).toBe(6)
  expect(countStreamText(Buffer.from(events(piece('abc'), piece('def'), whole)))).toBe(6)
  expect(countStreamText(Buffer.from(events(whole, { ...whole, output_index: 2 })))).toBe(12)
})

test('counts the text of a request apart from its attachments', () => {
  expect(countRequestText(request)).toEqual({
    textBytes: 5 + 1 + 8 + 4 + 4 + 7 + 7,
    attachments: 0,
  })
  const image = { type: 'image_url', image_url: { url: `data:${'A'.repeat(9999)}` } }
  const body = Buffer.from(JSON.stringify({ messages: [{ content: [image, image] }] }))
  expect(countRequestText(body)).toEqual({ textBytes: 8 + 7, attachments: 2 })
  expect(countRequestText(Buffer.from('no JSON'))).toBeUndefined()
})

test('estimates in a worker', async () => {
  const estimator = open()
  const job = { request, answer: stream, isStream: true, limits }
  expect(await estimator.estimate(job)).toEqual({ input: 36, output: 34 })
  const form = { request: Buffer.from('form'), answer: Buffer.from('{}'), isStream: false, limits }
  expect(await estimator.estimate(form)).toEqual({ input: 4 + 1000, output: 0 })
  // The caller's bytes stay its own.
  expect(request.length).toBe(62)
})

test('answers each of many jobs with its own figures', async () => {
  const estimator = open()
  const sizes = Array.from({ length: 40 }, (_, index) => index)
  const outputs = await Promise.all(
    sizes.map(async (size) => {
      const answer = Buffer.from(JSON.stringify({ output: 'x'.repeat(size) }))
      return (await estimator.estimate({ request, answer, isStream: false, limits }))?.output
    }),
  )
  expect(outputs).toEqual(sizes)
})

test('gives no estimate when there is too much, too many, or no time', async () => {
  const job = { request, answer: stream, isStream: true, limits }
  expect(await open({ maxJobBytes: 10 }).estimate(job)).toBeUndefined()
  const busy = open({ maxJobs: 1 })
  const [first, second] = await Promise.all([busy.estimate(job), busy.estimate(job)])
  expect(first).toBeDefined()
  expect(second).toBeUndefined()
  // A job of many thousand events takes longer than this.
  const hurried = open({ timeoutMs: 1 })
  const long = { ...job, answer: Buffer.from('a\n\n'.repeat(100_000)) }
  expect(await hurried.estimate(long)).toBeUndefined()
  expect(await hurried.estimate(long)).toBeUndefined()
})

test('lets those that wait go when it is closed, and starts anew', async () => {
  const estimator = open()
  const job = { request, answer: stream, isStream: true, limits }
  const waiting = estimator.estimate(job)
  await estimator.close()
  expect(await waiting).toBeUndefined()
  expect(await estimator.estimate(job)).toEqual({ input: 36, output: 34 })
})
