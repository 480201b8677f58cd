import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { callChat } from './provider/raw-client.ts'
import type { RawCall, RawResult } from './provider/raw-client.ts'
import type { LoggedRequest } from './provider/request-log.ts'
import { startLoopbackProvider } from './provider/start.ts'
import type { TlsLoopbackProvider } from './provider/start.ts'

const question = 'Why is the sky blue?'
const answerText = `This is the loopback provider: no model ran. You asked: ${question}`
const doneEvent = 'data: [DONE]\n\n'

let provider: TlsLoopbackProvider

beforeAll(async () => {
  provider = await startLoopbackProvider()
})

afterAll(async () => {
  await provider.stop()
})

beforeEach(async () => {
  await provider.reset()
})

async function call(
  model: string,
  stream: boolean,
  more: Partial<RawCall> = {},
): Promise<RawResult> {
  return callChat(provider, { model, stream, prompt: question }, more)
}

/** The one logged request, once it has ended. */
async function readEntry(): Promise<LoggedRequest> {
  const log = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  const [entry, ...others] = log
  expect(others).toEqual([])
  if (entry === undefined) throw new Error('Nothing was logged.')
  return entry
}

/** Payloads of a stream by the rules of the SSE standard, written apart from the provider. */
function parseEvents(body: Buffer): string[] {
  const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  const events: string[] = []
  let data: string[] = []
  for (const line of text.split(/\r\n|\n|\r/)) {
    if (line === '' && data.length > 0) {
      events.push(data.join('\n'))
      data = []
    }
    if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
  }
  return events
}

function toText(payloads: readonly string[]): string {
  return payloads
    .filter((payload) => payload !== '[DONE]')
    .map((payload) => {
      const found = /"content":"((?:[^"\\]|\\.)*)"/.exec(payload)
      const content: unknown = JSON.parse(`"${found?.[1] ?? ''}"`)
      return typeof content === 'string' ? content : ''
    })
    .join('')
}

test('ends a stream in order but without [DONE]', async () => {
  const result = await call('hostile-eof', true)
  expect(result.failure).toBeNull()
  expect(toText(parseEvents(result.body))).toBe(answerText)
  expect(result.body.toString()).toContain('"finish_reason":"stop"')
  expect(result.body.toString()).not.toContain('[DONE]')
})

test('ends a stream in order in the middle', async () => {
  const result = await call('hostile-eof-mid', true)
  expect(result.failure).toBeNull()
  const text = toText(parseEvents(result.body))
  expect(text.length).toBeGreaterThan(10)
  expect(answerText.startsWith(text) && text !== answerText).toBe(true)
  expect(result.body.toString()).not.toContain('"finish_reason":"stop"')
})

test.each(['hostile-eof', 'hostile-eof-mid'])('cuts JSON in order for %s', async (model) => {
  const result = await call(model, false)
  expect(result).toMatchObject({ status: 200, failure: null })
  expect(result.headers['content-length']).toBeUndefined()
  expect(() => JSON.parse(result.body.toString())).toThrow(SyntaxError)
})

test('sends an event stream that is neither SSE nor UTF-8', async () => {
  const result = await call('hostile-malformed-sse', true)
  expect(result).toMatchObject({ status: 200, failure: null })
  expect(result.headers['content-type']).toMatch(/^text\/event-stream/)
  expect(() => new TextDecoder('utf-8', { fatal: true }).decode(result.body)).toThrow(TypeError)
})

test('sends one byte at a time in unusual but valid framing', async () => {
  const result = await call('hostile-split', true)
  expect(result.failure).toBeNull()
  expect(result.pieces.every((piece) => piece.length === 1)).toBe(true)
  const text = result.body.toString()
  expect(text.startsWith('\u{feff}: comment')).toBe(true)
  expect(text).toMatch(/\r\n\r\n/)
  expect(text).toMatch(/[^\r\n]\n\n/)
  expect(text).toMatch(/[^\r\n]\r\r/)
  expect(text).toContain('data:{')
  const payloads = parseEvents(result.body)
  expect(payloads.at(-1)).toBe('[DONE]')
  expect(toText(payloads)).toBe(`ü😀${answerText}`)
})

test('sends JSON one byte at a time', async () => {
  const result = await call('hostile-split', false)
  expect(result.pieces.length).toBe(result.body.length)
  expect(JSON.parse(result.body.toString())).toMatchObject({
    choices: [{ message: { content: answerText } }],
  })
})

test('fails inside a stream after a 200', async () => {
  const result = await call('hostile-error-in-stream', true)
  expect(result).toMatchObject({ status: 200, failure: null })
  const payloads = parseEvents(result.body)
  expect(payloads).toHaveLength(3)
  expect(JSON.parse(payloads[2] ?? '')).toMatchObject({ error: { type: 'server_error' } })
})

test('answers 200 with an error object in JSON', async () => {
  const result = await call('hostile-error-in-stream', false)
  expect(result.status).toBe(200)
  expect(JSON.parse(result.body.toString())).toMatchObject({ error: { type: 'server_error' } })
})

test('sends an event of more than 1 MiB', async () => {
  const payloads = parseEvents((await call('hostile-big-event', true)).body)
  expect(payloads).toHaveLength(4)
  expect(payloads[1]?.length).toBeGreaterThan(1024 * 1024)
})

test.each([
  ['hostile-many-events', 20_000],
  ['hostile-many-events-37', 37],
])('sends %s at full speed', async (model, count) => {
  const result = await call(model, true)
  expect(parseEvents(result.body)).toHaveLength(count + 2)
  expect(result.body.toString().endsWith(doneEvent)).toBe(true)
  const entry = await readEntry()
  expect(entry.bytesWritten).toBe(result.body.length)
  expect(entry.responseSha256).toBe(createHash('sha256').update(result.body).digest('hex'))
})

test('waits for a slow reader instead of buffering, and loses nothing', async () => {
  const hold = new AbortController()
  const released = once(hold.signal, 'abort')
  const calling = call('hostile-many-events-100000', true, { holdUntil: released })
  let before = -1
  let entry: LoggedRequest | undefined
  const deadlineMs = Date.now() + 60_000
  do {
    before = entry?.bytesWritten ?? -1
    entry = (await provider.log({ waitUntilIdleMs: 50 }))[0]
    expect(Date.now()).toBeLessThan(deadlineMs)
  } while (entry?.waitingForReader !== true || entry.bytesWritten !== before)
  hold.abort()
  const result = await calling
  expect(result.failure).toBeNull()
  expect(before).toBeGreaterThan(0)
  expect(before).toBeLessThan(result.body.length / 2)
  expect((await readEntry()).bytesWritten).toBe(result.body.length)
})

test.each([true, false])('compresses although identity was asked (stream: %s)', async (stream) => {
  const headers = { 'accept-encoding': 'identity' }
  const result = await call('hostile-gzip', stream, { headers })
  expect(result.headers['content-encoding']).toBe('gzip')
  const plain = gunzipSync(result.body).toString()
  expect(plain).toContain(stream ? doneEvent : answerText)
})

test('sends trailers', async () => {
  const result = await call('hostile-trailers', true)
  expect(result.trailers).toEqual({ 'x-loopback-trailer': 'end', 'x-receipt-statement': 'forged' })
  expect(toText(parseEvents(result.body))).toBe(answerText)
})

test.each([true, false])('truncates JSON with a true length (stream: %s)', async (stream) => {
  const result = await call('hostile-json-truncated', stream)
  expect(result).toMatchObject({ status: 200, failure: null })
  expect(result.headers['content-type']).toBe('application/json')
  expect(result.headers['content-length']).toBe(String(result.body.length))
  expect(() => JSON.parse(result.body.toString())).toThrow(SyntaxError)
})

test.each([true, false])('sends JSON that changes when re-serialised (%s)', async (stream) => {
  const result = await call('hostile-odd-json', stream)
  const payloads = stream
    ? parseEvents(result.body).filter((payload) => payload !== '[DONE]')
    : [result.body.toString()]
  expect(payloads).toHaveLength(stream ? 3 : 1)
  for (const payload of payloads) {
    const parsed: unknown = JSON.parse(payload)
    expect(JSON.stringify(parsed)).not.toBe(payload)
    expect(parsed).toMatchObject({ model: 'hostile-odd-json' })
  }
  for (const form of ['1.0', '1e-7', '9223372036854775808', '\\u00e9', '\\/']) {
    expect(payloads[0]).toContain(form)
  }
})

test.each([true, false])('asserts another model than asked (stream: %s)', async (stream) => {
  const result = await call('hostile-model-swap', stream)
  expect(result.body.toString()).toMatch(/"model": ?"loopback-cheaper"/)
  expect(result.body.toString()).not.toContain('hostile-model-swap')
})

test.each([true, false])('reports impossible usage (stream: %s)', async (stream) => {
  const body = (await call('hostile-usage', stream)).body
  const payload = stream ? (parseEvents(body).at(-2) ?? '') : body.toString()
  expect(JSON.parse(payload)).toMatchObject({
    usage: { prompt_tokens: -5, completion_tokens: 1e300, total_tokens: '12' },
  })
})

test('sends 102 and 103 before the answer', async () => {
  const result = await call('hostile-1xx', true)
  expect(result.informationalStatuses).toEqual([102, 103])
  expect(toText(parseEvents(result.body))).toBe(answerText)
})
