import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { expectVerified, type PlainObject } from './support/receipts.ts'
import {
  answerChat,
  answerError,
  startRecordingUpstream,
  type RecordingUpstream,
} from './support/recording-upstream.ts'
import {
  createGatewayFolder,
  disposeGateway,
  startGateway,
  type RunningGateway,
} from './support/start-gateway.ts'

let upstream: RecordingUpstream
let gateway: RunningGateway
let headers: Readonly<Record<string, string>>
const folder = createGatewayFolder()
const keysFile = join(folder, 'data', 'api-keys.db')
const silent = createServer(() => undefined)

beforeAll(async () => {
  upstream = await startRecordingUpstream((response) => {
    answerChat(response)
  })
  await new Promise<void>((resolve) => {
    silent.listen(0, '127.0.0.1', resolve)
  })
  const address = silent.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const retry = { attempts: 3, maxDelayMs: 1500 }
  const priced = { price: { perCallAtomic: '7' }, provider: 'openai' }
  gateway = await startGateway({
    folder,
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [
        { name: 'a', baseUrl: upstream.url },
        // Nothing listens on the first, and the second never shakes hands.
        { name: 'closed', baseUrl: 'http://127.0.0.1:1/v1', retry: { attempts: 3, maxDelayMs: 5 } },
        {
          name: 'silent',
          baseUrl: `https://127.0.0.1:${port}/v1`,
          timeouts: { connectMs: 50 },
          retry: { attempts: 2, maxDelayMs: 5 },
        },
      ],
      models: [
        { name: 'm', upstream: 'a', ...priced, retry },
        { name: 'once', upstream: 'a', ...priced },
        { name: 'closed', upstream: 'closed', ...priced },
        { name: 'silent', upstream: 'silent', ...priced },
        // Long enough for a first attempt in a process that stands still; then it waits for longer.
        {
          name: 'hurried',
          upstream: 'a',
          ...priced,
          retry: { attempts: 3, maxDelayMs: 60_000 },
          timeouts: { totalMs: 12_000 },
        },
        { name: 'patient', upstream: 'a', ...priced, retry: { attempts: 3, maxDelayMs: 60_000 } },
        { name: 'impatient', upstream: 'a', ...priced, retry, timeouts: { firstByteMs: 300 } },
        { name: 'restless', upstream: 'a', ...priced, retry, timeouts: { idleMs: 300 } },
      ],
    },
  })
  const store = openApiKeyStore(keysFile)
  headers = { 'x-api-key': store.create('test', 1_000_000n, 1).secret }
  store.close()
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
  silent.close()
})

beforeEach(() => {
  upstream.requests.length = 0
})

function chargedAtomic(): bigint {
  const store = openApiKeyStore(keysFile)
  try {
    return store.list()[0]?.chargedAtomic ?? -1n
  } finally {
    store.close()
  }
}

async function call(
  model: string,
  stream = false,
): Promise<{ readonly answer: RawResult; readonly claims: PlainObject }> {
  const body = createChatBody({ model, stream })
  const answer = await postChat(gateway.url, body, { headers })
  const { claims } = await expectVerified(gateway.url, answer, body)
  for (const request of upstream.requests) expect(request.body.equals(body)).toBe(true)
  return { answer, claims }
}

test.each([429, 503, 529])(
  'asks again after %s, charges once, and counts in the receipt',
  async (status) => {
    const before = chargedAtomic()
    upstream.answer = (response, _, index) => {
      if (index < 2) answerError(response, status)
      else answerChat(response)
    }
    const { answer, claims } = await call('m')
    expect(answer.status).toBe(200)
    expect(upstream.requests).toHaveLength(3)
    const failed = { upstream: 'a', error: `status-${status}` }
    expect(claims).toMatchObject({
      attempts: { count: 3, failed: [failed, failed], upstream: 'a' },
      outcome: { state: 'complete' },
      'upstream-response': { status: 200 },
    })
    expect(chargedAtomic() - before).toBe(7n)
  },
)

test('passes the last answer on when every attempt failed, and charges nothing', async () => {
  const before = chargedAtomic()
  upstream.answer = (response, _, index) => {
    answerError(response, 503, {}, { message: `attempt ${index}` })
  }
  const { answer, claims } = await call('m', true)
  expect(answer.status).toBe(503)
  expect(answer.body.toString()).toContain('attempt 2')
  expect(claims).toMatchObject({
    attempts: { count: 3 },
    outcome: { state: 'upstream-error', error: 'status-503' },
  })
  expect(chargedAtomic()).toBe(before)
})

test('waits as long as the upstream asks for', async () => {
  upstream.answer = (response, _, index) => {
    if (index === 0) answerError(response, 429, { 'retry-after': '1' })
    else answerChat(response)
  }
  const { answer } = await call('m')
  expect(answer.status).toBe(200)
  const [first, second] = upstream.requests
  // The clocks of two processes: each may round a millisecond.
  expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThan(995)
})

const standing: readonly (readonly [
  what: string,
  status: number,
  headers: object,
  error: object,
])[] = [
  ['a longer wait than it may take', 429, { 'retry-after': '2' }, {}],
  ['an empty account', 429, {}, { code: 'insufficient_quota' }],
  ['a plain no', 503, { 'x-should-retry': 'false' }, {}],
  ['another failure', 500, {}, {}],
  ['a fault of the request', 400, {}, {}],
]

test.each(standing)('asks once where the upstream says %s', async (_, status, more, error) => {
  upstream.answer = (response) => {
    answerError(response, status, { ...more }, error)
  }
  const { answer, claims } = await call('m')
  expect(answer.status).toBe(status)
  expect(upstream.requests).toHaveLength(1)
  expect(claims).not.toHaveProperty('attempts')
})

test('asks once unless the configuration says otherwise', async () => {
  upstream.answer = (response) => {
    answerError(response, 503)
  }
  const { answer, claims } = await call('once')
  expect(answer.status).toBe(503)
  expect(upstream.requests).toHaveLength(1)
  expect(claims).not.toHaveProperty('attempts')
})

test('never asks again for what may have been served: a reset, a broken stream', async () => {
  upstream.answer = (response) => {
    response.socket?.resetAndDestroy()
  }
  const reset = await call('m')
  expect(reset.answer.status).toBe(502)
  expect(reset.claims).toMatchObject({ outcome: { error: 'reset' } })
  expect(upstream.requests).toHaveLength(1)
  upstream.answer = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"a":1}\n\n')
    setImmediate(() => response.socket?.resetAndDestroy())
  }
  upstream.requests.length = 0
  const broken = await call('m', true)
  expect(broken.answer.failure).not.toBeNull()
  expect(upstream.requests).toHaveLength(1)
  expect(broken.claims).not.toHaveProperty('attempts')
})

test('connects again where nothing listens, and says how often', async () => {
  const { answer, claims } = await call('closed')
  expect(answer.status).toBe(502)
  const failed = { upstream: 'closed', error: 'unreachable' }
  expect(claims).toMatchObject({
    attempts: { count: 3, failed: [failed, failed] },
    outcome: { state: 'upstream-error', error: 'unreachable' },
  })
})

test('gives a connection its own time, and connects again after it', async () => {
  const { answer, claims } = await call('silent')
  expect(answer.status).toBe(504)
  expect(claims).toMatchObject({
    attempts: { count: 2, failed: [{ upstream: 'silent', error: 'timeout' }] },
    outcome: { state: 'timeout', error: 'timeout' },
  })
})

test('ends a call whose time is over while it waits', async () => {
  upstream.answer = (response) => {
    answerError(response, 503, { 'retry-after': '60' })
  }
  const { answer, claims } = await call('hurried')
  expect(answer.status).toBe(504)
  expect(upstream.requests).toHaveLength(1)
  expect(claims).toMatchObject({
    attempts: { count: 2 },
    outcome: { state: 'timeout', error: 'total-time' },
    'upstream-response': { status: null, bytes: 0 },
  })
})

test('gives a route its own time for the first byte and between two', async () => {
  upstream.answer = () => undefined
  const late = await call('impatient')
  expect(late.answer.status).toBe(504)
  expect(late.claims).toMatchObject({ outcome: { state: 'timeout', error: 'timeout' } })
  // The head may have been late only for us: it is not asked for again.
  expect(upstream.requests).toHaveLength(1)
  upstream.answer = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"a":1}\n\n')
  }
  upstream.requests.length = 0
  const idle = await call('restless', true)
  expect(idle.answer.failure).not.toBeNull()
  expect(idle.claims).toMatchObject({ outcome: { state: 'timeout', error: 'timeout' } })
})

test('does not ask again, and charges nothing, for a caller who left while it waited', async () => {
  const refused = Promise.withResolvers<void>()
  upstream.answer = (response, _, index) => {
    if (index > 0) {
      answerChat(response)
      return
    }
    response.once('finish', refused.resolve)
    answerError(response, 503, { 'retry-after': '60' })
  }
  const controller = new AbortController()
  const body = createChatBody({ model: 'patient', stream: true })
  const answer = postChat(gateway.url, body, { headers, leaveSignal: controller.signal })
  await refused.promise
  // When a later call has its answer, the gateway has read the refusal and waits.
  const other = createChatBody({ model: 'once', stream: false })
  expect((await postChat(gateway.url, other, { headers })).status).toBe(200)
  const before = chargedAtomic()
  controller.abort()
  expect((await answer).status).toBeNull()
  for (;;) {
    const metrics = await callRaw({ url: `${gateway.url}/metrics` })
    if (/^countersign_calls_pending 0$/m.test(metrics.body.toString())) break
  }
  expect(upstream.requests).toHaveLength(2)
  expect(chargedAtomic()).toBe(before)
})

test('ends a call that waits for its next attempt when the gateway stops', async () => {
  const refused = Promise.withResolvers<void>()
  upstream.answer = (response) => {
    response.once('finish', refused.resolve)
    answerError(response, 503, { 'retry-after': '20' })
  }
  const models = [{ id: 'm', priceAtomic: '7' }]
  const retry = { attempts: 2, maxDelayMs: 30_000 }
  const stopping = await startGateway({
    config: { upstreams: [{ name: 'a', baseUrl: upstream.url, models, retry }] },
    limits: { drainTimeoutMs: 50 },
  })
  const answer = postChat(stopping.url, createChatBody({ model: 'm', stream: true }))
  await refused.promise
  expect(await stopping.stop()).toEqual({ code: 0, signal: null })
  expect((await answer).status).toBe(504)
  expect(upstream.requests).toHaveLength(1)
  expect(stopping.stderr()).toContain('"upstream":"a","error":"status-503"')
  await disposeGateway(stopping)
})
