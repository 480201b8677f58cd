import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { behaviours } from './provider/behaviours.ts'
import { callChat, callRaw } from './provider/raw-client.ts'
import type { RawCall, RawResult } from './provider/raw-client.ts'
import type { LoggedRequest } from './provider/request-log.ts'
import { startLoopbackProvider } from './provider/start.ts'
import type { TlsLoopbackProvider } from './provider/start.ts'

const question = 'Why is the sky blue?'
const authorization = 'Bearer sk-caller-0123456789-secret'

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
  return callChat(
    provider,
    { model, stream, prompt: question },
    { headers: { authorization }, ...more },
  )
}

/** The one logged request, once it has ended. */
async function readEntry(): Promise<LoggedRequest> {
  const log = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  const [entry, ...others] = log
  expect(others).toEqual([])
  if (entry === undefined) throw new Error('Nothing was logged.')
  return entry
}

const errorStatuses = [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529]

test.each(errorStatuses)('answers %i with an error object of the OpenAI wire', async (status) => {
  for (const stream of [true, false]) {
    const result = await call(`hostile-status-${status}`, stream)
    expect(result.status).toBe(status)
    expect(result.headers['content-type']).toBe('application/json')
    const body: unknown = JSON.parse(result.body.toString())
    expect(body).toEqual({
      error: {
        message: expect.stringMatching(/./),
        type: expect.stringMatching(/^[a-z_]+$/),
        param: null,
        code: status === 500 || status === 502 ? null : expect.stringMatching(/^[a-z_]+$/),
      },
    })
  }
})

test('sends retry headers with 429, 503 and 529 and with no other status', async () => {
  const withRetry: number[] = []
  for (const status of errorStatuses) {
    const { headers } = await call(`hostile-status-${status}`, true)
    if (headers['retry-after'] === '2' && headers['retry-after-ms'] === '1500') {
      withRetry.push(status)
    } else expect(headers['retry-after']).toBeUndefined()
  }
  expect(withRetry).toEqual([429, 503, 529])
})

test('quotes part of the key in a 401, as the real one does', async () => {
  const result = await call('hostile-status-401', false)
  expect(result.body.toString()).toContain('sk-calle********cret')
})

test.each([true, false])('resets the connection midway (stream: %s)', async (stream) => {
  const result = await call('hostile-reset', stream)
  expect(result.status).toBe(200)
  expect(result.failure).toBe('ECONNRESET')
  expect(result.body.length).toBeGreaterThan(100)
  expect(result.body.toString()).not.toContain(stream ? '[DONE]' : 'total_tokens')
  const entry = await readEntry()
  expect(entry.end.kind).toBe('closed-by-provider')
  expect(entry.bytesWritten).toBeGreaterThanOrEqual(result.body.length)
})

test('resets the connection before any response', async () => {
  const result = await call('hostile-reset-before', true)
  expect(result).toMatchObject({ status: null, failure: 'ECONNRESET' })
  expect(await readEntry()).toMatchObject({ status: null, end: { kind: 'closed-by-provider' } })
})

test.each([true, false])('stalls after the first piece (stream: %s)', async (stream) => {
  const stalled = new AbortController()
  const isStalled = once(stalled.signal, 'abort')
  const leave = new AbortController()
  const calling = call('hostile-stall', stream, {
    leaveSignal: leave.signal,
    leaveWhen: () => {
      stalled.abort()
      return false
    },
  })
  await isStalled
  const whileStalled = await provider.log({ waitUntilIdleMs: 200 })
  expect(whileStalled).toMatchObject([{ status: 200, end: { kind: 'open' } }])
  leave.abort()
  const result = await calling
  expect(result.failure).not.toBeNull()
  const entry = await readEntry()
  expect(entry.end.kind).toBe('aborted-by-client')
  expect(entry.bytesWritten).toBe(result.body.length)
  expect(entry.bytesWritten).toBe(whileStalled[0]?.bytesWritten)
})

test('stalls before the response head', async () => {
  const leave = new AbortController()
  const calling = call('hostile-stall-headers', true, { leaveSignal: leave.signal })
  await expect.poll(() => provider.log()).toHaveLength(1)
  const whileStalled = await provider.log({ waitUntilIdleMs: 300, atLeast: 1 })
  expect(whileStalled).toMatchObject([{ status: null, end: { kind: 'open' } }])
  leave.abort()
  expect((await calling).status).toBeNull()
  expect(await readEntry()).toMatchObject({
    status: null,
    bytesWritten: 0,
    end: { kind: 'aborted-by-client' },
  })
})

test('sends a header larger than clients take', async () => {
  const refused = await call('hostile-big-header', true)
  expect(refused).toMatchObject({ status: null, failure: 'HPE_HEADER_OVERFLOW' })
  const taken = await call('hostile-big-header', true, { maxHeaderSize: 64 * 1024 })
  expect(taken.status).toBe(200)
  expect(taken.headers['x-loopback-big']).toHaveLength(17 * 1024)
})

test('sends headers that only a gateway may set', async () => {
  const { headers } = await call('hostile-header-injection', true)
  for (const name of [
    'x-receipt-id',
    'x-receipt-statement',
    'payment-response',
    'settlement-overrides',
  ]) {
    expect(headers[name]).toBe('forged-by-provider')
  }
})

test.each([
  ['hostile-crlf-header', /^HPE_/],
  ['hostile-not-http', /^HPE_/],
])('speaks broken HTTP for %s', async (model, failure) => {
  const result = await call(model, true)
  expect(result.status).toBeNull()
  expect(result.failure).toMatch(failure)
})

test('sends a second response that nobody asked for', async () => {
  const result = await call('hostile-extra-response', false)
  expect(JSON.parse(result.body.toString())).toMatchObject({ model: 'hostile-extra-response' })
  const entry = await readEntry()
  expect(entry.bytesWritten).toBeGreaterThan(result.body.length + 100)
})

test('redirects to a path that shows in the log who follows', async () => {
  const result = await call('hostile-redirect', false)
  expect(result.status).toBe(302)
  expect(result.headers.location).toBe('/v1/redirect-target')
  const followed = await callRaw({
    url: new URL('/v1/redirect-target', provider.url).href,
    caPem: provider.caPem,
  })
  expect(followed.status).toBe(404)
  const log = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 2 })
  expect(log.map((entry) => entry.path)).toEqual(['/v1/chat/completions', '/v1/redirect-target'])
})

test.each([true, false])('announces more than it sends (stream: %s)', async (stream) => {
  const result = await call('hostile-length-lie', stream)
  expect(result.status).toBe(200)
  expect(result.headers['content-length']).toBe(String(result.body.length + 100))
  expect(result.failure).not.toBeNull()
  expect((await readEntry()).end.kind).toBe('closed-by-provider')
})

test.each([204, 304])('answers %i without a body', async (status) => {
  const result = await call(`hostile-${status}`, true)
  expect(result).toMatchObject({ status, failure: null })
  expect(result.body).toHaveLength(0)
})

test('survives all of it in one process', async () => {
  const silent = new Set(['hostile-stall', 'hostile-stall-headers'])
  const models = [...behaviours.keys()].filter((model) => !silent.has(model))
  await Promise.all(models.map(async (model) => call(model, true)))
  const log = await provider.log({ waitUntilIdleMs: 60_000, atLeast: models.length })
  expect(log.length).toBe(models.length)
  expect(log.filter((entry) => entry.end.kind === 'open')).toEqual([])
  expect((await call('loopback-echo', false)).status).toBe(200)
})
