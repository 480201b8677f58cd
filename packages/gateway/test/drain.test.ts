import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { splitEvents } from '@countersign/protocol/receipt/event-chain'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import { createChatBody, postChat, sha256Hex } from './support/chat-call.ts'
import { beginStream, chunk, events, usage } from './support/chat-events.ts'
import { createKey } from './support/create-key.ts'
import { expectVerified, type FetchedReceipt } from './support/receipts.ts'
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

const price = { perCallAtomic: '1', perMillionAtomic: { input: '1000000', output: '1000000' } }
const limits = { contextTokens: 5000, maxOutputTokens: 1000, hidesReasoning: false }
const model = (name: string, more: object): object => ({
  name,
  upstream: 'a',
  provider: 'openai',
  price,
  limits,
  ...more,
})
const drain = { drain: { maxMs: 30_000 } }

function configure(more: object = {}): Readonly<Record<string, unknown>> {
  return {
    payment: { apiKeys: { asset: 'credits' } },
    upstreams: [{ name: 'a', baseUrl: upstream.url, onDisconnect: drain, addUsage: false }],
    models: [
      model('drained', {}),
      model('asking', { addUsage: true }),
      model('aborted', { onDisconnect: 'abort' }),
      model('brief', { onDisconnect: { drain: { maxMs: 100 } } }),
      // Also for the upstream, which is this process: longer than it may stand still.
      model('impatient', { timeouts: { idleMs: 12_000 } }),
      model('capped', { limits: { ...limits, maxChargeAtomic: '100' } }),
      model('flat', { price: { perCallAtomic: '9' }, limits: {} }),
    ],
    ...more,
  }
}

beforeAll(async () => {
  upstream = await startRecordingUpstream(() => undefined)
  gateway = await startGateway({ folder, config: configure() })
  headers = createKey(keysFile)
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
})

beforeEach(() => {
  upstream.requests.length = 0
})

/** Calls and leaves after so many bytes; resolves when the gateway has seen that. */
async function leaveAfter(
  origin: string,
  body: Buffer,
  bytes: number,
  credential = headers,
): Promise<RawResult> {
  const answer = await postChat(origin, body, {
    headers: credential,
    leaveWhen: (bytesSoFar) => bytesSoFar >= bytes,
  })
  // The end of that connection came before this request.
  expect((await callRaw({ url: `${origin}/healthz` })).status).toBe(200)
  return answer
}

async function expectPrefix(answer: RawResult, body: Buffer): Promise<FetchedReceipt> {
  const { rest } = splitEvents(answer.body)
  const response = answer.body.subarray(0, answer.body.length - rest.length)
  return expectVerified(gateway.url, answer, body, { response, responseIsPrefix: true })
}

/** Streams `before`, then what is left once the caller has left. */
async function streamAndLeave(
  name: string,
  before: string,
  after: string,
): Promise<{ readonly answer: RawResult; readonly receipt: FetchedReceipt }> {
  const left = Promise.withResolvers<void>()
  upstream.answer = async (response) => {
    beginStream(response)
    response.write(before)
    await left.promise
    response.end(after)
  }
  const body = createChatBody({ model: name, stream: true })
  const answer = await leaveAfter(gateway.url, body, Buffer.byteLength(before))
  left.resolve()
  return { answer, receipt: await expectPrefix(answer, body) }
}

test('reads a stream to its end for a caller who left at any event, and charges what was counted', async () => {
  const whole = events.join('')
  for (let count = 1; count < events.length; count++) {
    const before = events.slice(0, count).join('')
    const { receipt } = await streamAndLeave('drained', before, events.slice(count).join(''))
    expect(receipt.claims).toMatchObject({
      outcome: { state: 'aborted-by-client', error: null },
      drain: { end: 'complete' },
      response: { bytes: before.length, sha256: sha256Hex(Buffer.from(before)), status: 200 },
      'upstream-response': { bytes: whole.length, sha256: sha256Hex(Buffer.from(whole)) },
      stream: { events: count },
      usage: { input: 40, output: 60, source: 'provider' },
      metering: { source: 'provider', counts: { input: 40, output: 60 }, capped: false },
    })
    expect(receipt.payload.charge.amountAtomic).toBe(101n)
  }
})

test('counts usage that it asked for itself also for a caller who left', async () => {
  const before = events.slice(0, 3).join('')
  const { receipt } = await streamAndLeave('asking', before, events.slice(3).join(''))
  expect(receipt.claims).toMatchObject({
    response: { bytes: before.length, transform: 'identity' },
    metering: { source: 'provider', counts: { input: 40, output: 60 } },
  })
  expect(receipt.claims['removed']).toBeUndefined()
})

test('chains what was returned of an event that was cut, and still reads that event', async () => {
  const last = events[3] ?? ''
  const before = `${events.slice(0, 3).join('')}${last.slice(0, 30)}`
  const { answer, receipt } = await streamAndLeave(
    'drained',
    before,
    `${last.slice(30)}${events[4]}`,
  )
  expect(answer.body.toString()).toBe(before)
  expect(receipt.claims).toMatchObject({
    response: { bytes: before.length },
    stream: { events: 4 },
    usage: { input: 40, output: 60 },
  })
})

test('ends the upstream with its caller where the model says so, and estimates', async () => {
  const gone = Promise.withResolvers<void>()
  upstream.answer = (response) => {
    response.once('close', gone.resolve)
    beginStream(response)
    response.write(events[0])
  }
  const body = createChatBody({ model: 'aborted', stream: true })
  const answer = await leaveAfter(gateway.url, body, 10)
  await gone.promise
  const { claims } = await expectPrefix(answer, body)
  expect(claims).toMatchObject({
    outcome: { state: 'aborted-by-client' },
    metering: { source: 'estimated' },
  })
  expect(claims).not.toHaveProperty('drain')
})

test('charges a caller who left what was visible, when nobody counts in the rest of the stream', async () => {
  const { receipt } = await streamAndLeave('drained', chunk('one'), chunk('x'.repeat(500)))
  const { receipt: told } = await streamAndLeave(
    'drained',
    chunk('one'),
    `${chunk('x'.repeat(500))}data: [DONE]\n\n`,
  )
  const { receipt: abort } = await streamAndLeave('aborted', chunk('one'), '')
  expect(receipt.claims['drain']).toMatchObject({ end: 'upstream-error' })
  expect(told.claims['drain']).toMatchObject({ end: 'complete' })
  for (const { claims, payload } of [receipt, told]) {
    expect(claims['outcome']).toMatchObject({ state: 'aborted-by-client', error: null })
    expect(claims['metering']).toMatchObject({ source: 'estimated' })
    expect(payload.charge.amountAtomic).toBe(abort.payload.charge.amountAtomic)
  }
})

test('reads for a limited time only', async () => {
  const gone = Promise.withResolvers<void>()
  upstream.answer = (response) => {
    response.once('close', gone.resolve)
    beginStream(response)
    response.write(events[0])
  }
  const body = createChatBody({ model: 'brief', stream: true })
  const answer = await leaveAfter(gateway.url, body, 10)
  await gone.promise
  const { claims } = await expectPrefix(answer, body)
  expect(claims).toMatchObject({
    outcome: { state: 'aborted-by-client' },
    drain: { end: 'time' },
    metering: { source: 'estimated' },
  })
})

test('reads until the call costs what was authorised, and charges no more', async () => {
  const gone = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  upstream.answer = async (response) => {
    response.once('close', gone.resolve)
    beginStream(response)
    response.write(events[0])
    await left.promise
    response.write(chunk('two', { usage: { ...usage, completion_tokens: 900 } }))
  }
  const body = createChatBody({ model: 'capped', stream: true })
  const answer = await leaveAfter(gateway.url, body, 10)
  left.resolve()
  await gone.promise
  const { claims, payload } = await expectPrefix(answer, body)
  expect(claims).toMatchObject({
    drain: { end: 'maximum' },
    metering: { source: 'provider', capped: true },
  })
  expect(payload.charge.amountAtomic).toBe(100n)
})

test('does not read on for a caller who had the whole answer', async () => {
  const gone = Promise.withResolvers<void>()
  upstream.answer = (response) => {
    response.once('close', gone.resolve)
    beginStream(response)
    response.write(events.join(''))
  }
  const body = createChatBody({ model: 'drained', stream: true })
  const answer = await leaveAfter(gateway.url, body, events.join('').length)
  await gone.promise
  const { claims, payload } = await expectPrefix(answer, body)
  expect(claims['outcome']).toMatchObject({ state: 'complete' })
  expect(claims).not.toHaveProperty('drain')
  expect(payload.charge.amountAtomic).toBe(101n)
})

test('reads on when a caller takes nothing any more', async () => {
  const filler = Array.from({ length: 4000 }, () => chunk('x'.repeat(4000))).join('')
  upstream.answer = async (response) => {
    beginStream(response)
    if (!response.write(filler)) await once(response, 'drain')
    response.end(events.slice(3).join(''))
  }
  const body = createChatBody({ model: 'impatient', stream: true })
  const release = Promise.withResolvers<void>()
  const answer = postChat(gateway.url, body, {
    headers,
    holdUntil: release.promise,
  })
  await upstream.arrived(1)
  await chargedSince(0n)
  release.resolve()
  const taken = await answer
  expect(taken.failure).not.toBeNull()
  const { claims, payload } = await expectPrefix(taken, body)
  expect(claims).toMatchObject({
    outcome: { state: 'aborted-by-client' },
    drain: { end: 'complete' },
    'upstream-response': { bytes: filler.length + events.slice(3).join('').length },
  })
  expect(payload.charge.amountAtomic).toBe(101n)
})

/** What was charged since, once no call is under way. */
async function chargedSince(chargedBefore: bigint): Promise<bigint> {
  for (;;) {
    const metrics = await callRaw({ url: `${gateway.url}/metrics` })
    if (/^countersign_calls_pending 0$/m.test(metrics.body.toString())) break
  }
  return chargedAtomic() - chargedBefore
}

function chargedAtomic(): bigint {
  const store = openApiKeyStore(keysFile)
  try {
    return store.list().find(({ name }) => name === 'test')?.chargedAtomic ?? -1n
  } finally {
    store.close()
  }
}

/** Leaves when the request is at the upstream, which answers after that. */
async function leaveBeforeHead(name: string, answer: RecordingUpstream['answer']): Promise<bigint> {
  const left = Promise.withResolvers<void>()
  const done = Promise.withResolvers<void>()
  upstream.answer = async (response, request, index) => {
    response.once('close', done.resolve)
    await left.promise
    await answer(response, request, index)
  }
  const before = chargedAtomic()
  const controller = new AbortController()
  const body = createChatBody({ model: name, stream: false })
  const call = postChat(gateway.url, body, { headers, leaveSignal: controller.signal })
  await upstream.arrived(1)
  controller.abort()
  expect((await call).status).toBeNull()
  expect((await callRaw({ url: `${gateway.url}/healthz` })).status).toBe(200)
  left.resolve()
  await done.promise
  return chargedSince(before)
}

test('charges what was counted when the caller leaves before the answer begins', async () => {
  expect(
    await leaveBeforeHead('drained', (response) => {
      answerChat(response)
    }),
  ).toBe(16n)
})

test('charges what was counted when the caller leaves before a stream begins', async () => {
  expect(
    await leaveBeforeHead('drained', (response) => {
      beginStream(response)
      response.end(events.join(''))
    }),
  ).toBe(101n)
})

test('charges nothing when the upstream refuses a call whose caller had left', async () => {
  expect(
    await leaveBeforeHead('drained', (response) => {
      answerError(response, 500)
    }),
  ).toBe(0n)
})

test('a call that is read on without its caller keeps its place among those of its payer', async () => {
  const credential = createKey(keysFile, { concurrentCalls: 1 }, 'one at a time')
  const left = Promise.withResolvers<void>()
  upstream.answer = async (response) => {
    beginStream(response)
    response.write(events[0])
    await left.promise
    response.end(events.slice(1).join(''))
  }
  const body = createChatBody({ model: 'drained', stream: true })
  await leaveAfter(gateway.url, body, 10, credential)
  const refused = await postChat(gateway.url, body, { headers: credential })
  expect(refused.status).toBe(429)
  expect(refused.body.toString()).toContain('concurrency-limited')
  left.resolve()
  await chargedSince(0n)
  expect((await postChat(gateway.url, body, { headers: credential })).status).toBe(200)
})

test('charges the price of a call that costs the same whatever it used', async () => {
  expect(
    await leaveBeforeHead('flat', (response) => {
      answerChat(response)
    }),
  ).toBe(9n)
})

test('signs what it has when the gateway stops while it reads', async () => {
  const other = createGatewayFolder()
  const file = join(other, 'data', 'api-keys.db')
  const first = await startGateway({
    folder: other,
    config: configure({ limits: { drainTimeoutMs: 100 } }),
  })
  const credential = createKey(file)
  upstream.answer = (response) => {
    beginStream(response)
    response.write(events[0])
  }
  const body = createChatBody({ model: 'drained', stream: true })
  const answer = await leaveAfter(first.url, body, 10, credential)
  expect(await first.stop()).toEqual({ code: 0, signal: null })
  const second = await startGateway({ folder: other, config: configure() })
  onTestFinished(async () => disposeGateway(second))
  const { rest } = splitEvents(answer.body)
  expect(rest).toHaveLength(0)
  const held = { response: answer.body, responseIsPrefix: true }
  const { claims } = await expectVerified(second.url, answer, body, held)
  expect(claims).toMatchObject({
    outcome: { state: 'aborted-by-client' },
    drain: { end: 'shutdown' },
    metering: { source: 'estimated' },
  })
})
