import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { absence, hasRecordings, recordingsDir } from '../../../test/provider/recordings.ts'
import type { LoggedRequest } from '../../../test/provider/request-log.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { createChatBody, postChat, sha256Hex } from './support/chat-call.ts'
import { beginStream, events } from './support/chat-events.ts'
import { expectVerified } from './support/receipts.ts'
import { startRecordingUpstream } from './support/recording-upstream.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider(hasRecordings ? { recordingsDir } : {})
  gateway = await startGateway({ provider })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

beforeEach(async () => {
  await provider.reset()
})

async function readOnlyEntry(): Promise<LoggedRequest> {
  const log = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  expect(log).toHaveLength(1)
  const [entry] = log
  if (entry === undefined) throw new Error('Nothing was logged.')
  return entry
}

const messages = '"messages":[{"role":"user","content":"hi"}]'
const oddBodies: readonly (readonly [what: string, body: string])[] = [
  ['spaces', ` {\n\t"model" : "loopback-echo" ,\r\n  "stream":true, ${messages} }\n\n `],
  [
    'escapes',
    `{"\\u006dodel":"loopback\\u002decho","stream":true,${messages},"user":"\\/\\ud83d"}`,
  ],
  [
    'numbers',
    `{"model":"loopback-echo","stream":true,${messages},"t":1.0,"n2":1e-07,"big":9223372036854775808}`,
  ],
  [
    'duplicates below the top',
    `{"model":"loopback-echo","stream":true,${messages},"metadata":{"a":1,"a":2}}`,
  ],
  [
    'text of many scripts',
    `{"model":"loopback-echo","stream":true,"messages":[{"role":"user","content":"Grüße 😀 \u2028 日本 \u0085"}]}`,
  ],
  [
    'unknown members',
    `{"x_new":{"deep":[[[null]]]},"model":"loopback-echo","stream":false,${messages},"":0,"__proto__":{"a":1}}`,
  ],
]

test.each(oddBodies)('forwards the very bytes of a body with %s', async (_, body) => {
  const answer = await postChat(gateway.url, body)
  expect(answer).toMatchObject({ status: 200, failure: null })
  const entry = await readOnlyEntry()
  expect(Buffer.from(entry.bodyBase64 ?? '', 'base64').toString()).toBe(body)
  expect(sha256Hex(answer.body)).toBe(entry.responseSha256)
  const { claims } = await expectVerified(gateway.url, answer, body)
  expect(claims).toMatchObject({
    forwarded: {
      bytes: Buffer.byteLength(body),
      sha256: sha256Hex(Buffer.from(body)),
      transform: 'identity',
    },
    request: { method: 'POST', path: '/v1/chat/completions' },
    response: { status: 200, transform: 'identity', sha256: entry.responseSha256 },
    model: { requested: 'loopback-echo', asserted: 'loopback-echo' },
    outcome: { state: 'complete', error: null, finish: 'stop' },
  })
})

const faithful = [
  'loopback-echo',
  'hostile-odd-json',
  'hostile-split',
  'hostile-big-event',
  'hostile-trailers',
  'hostile-1xx',
]

test.each(faithful.flatMap((model) => [[model, true] as const, [model, false] as const]))(
  'returns the very bytes of %s, stream %s',
  async (model, stream) => {
    const body = createChatBody({ model, stream })
    const answer = await postChat(gateway.url, body)
    expect(answer).toMatchObject({ status: 200, failure: null, informationalStatuses: [] })
    const entry = await readOnlyEntry()
    expect(answer.body.length).toBe(entry.bytesWritten)
    expect(sha256Hex(answer.body)).toBe(entry.responseSha256)
    const { claims } = await expectVerified(gateway.url, answer, body)
    expect(claims).toMatchObject({ outcome: { state: 'complete', error: null } })
  },
)

test('answers itself when an upstream compresses: a client would undo it before it compares', async () => {
  const body = createChatBody({ model: 'hostile-gzip', stream: false })
  const answer = await postChat(gateway.url, body)
  expect(answer.status).toBe(502)
  expect(answer.headers['content-encoding']).toBeUndefined()
  const { claims } = await expectVerified(gateway.url, answer, body)
  expect(claims).toMatchObject({ outcome: { state: 'upstream-error', error: 'body-encoded' } })
})

test('hands on the first chunk of a stream before the provider has sent the last one', async () => {
  const body = createChatBody({ model: 'loopback-slow-20000', stream: true })
  const stateAtFirstChunk = await new Promise<string | undefined>((resolve, reject) => {
    const request = httpRequest(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      agent: false,
    })
    request.once('error', reject).once('response', (response) => {
      response.once('data', (chunk: Buffer) => {
        expect(chunk.toString()).toMatch(/^data: \{/)
        provider.log().then(([entry]) => {
          resolve(entry?.end.kind)
          request.destroy()
          return undefined
        }, reject)
      })
    })
    request.end(body)
  })
  expect(stateAtFirstChunk).toBe('open')
  expect((await readOnlyEntry()).end.kind).toBe('aborted-by-client')
})

test('hands on each event of a stream before the provider has the next one', async () => {
  // Owned by the caller: how many whole events it has had.
  const seen = { events: 0, told: Promise.withResolvers<void>() }
  const upstream = await startRecordingUpstream(async (response) => {
    beginStream(response)
    for (const [index, event] of events.entries()) {
      response.write(event)
      while (seen.events <= index) await seen.told.promise
    }
    response.end()
  })
  const relay = await startGateway({ provider: upstream })
  let text = ''
  const answer = await new Promise<string>((resolve, reject) => {
    const request = httpRequest(`${relay.url}/v1/chat/completions`, { method: 'POST' })
    request.once('error', reject).once('response', (response) => {
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
        seen.events = text.split('\n\n').length - 1
        const { told } = seen
        seen.told = Promise.withResolvers()
        told.resolve()
      })
      response.once('end', () => {
        resolve(text)
      })
    })
    request.end(createChatBody({ model: 'm', stream: true }))
  })
  expect(answer).toBe(events.join(''))
  await disposeGateway(relay)
  await upstream.stop()
})

const usage: readonly (readonly [recording: string, usage: Readonly<Record<string, unknown>>])[] = [
  ['openai/chat/openai-text.chunks.txt', { input: 16, output: 300, source: 'provider' }],
  ['openai/chat/openai-text.json', { input: 16, output: 363, source: 'provider' }],
  ['xai/native/xai-text.chunks.txt', { input: 12, source: 'provider' }],
  ['xai/native/xai-text.json', { input: 12, source: 'provider' }],
]

test.skipIf(!hasRecordings).each(usage)(
  `relays the recording %s byte by byte with the usage that it reports${absence}`,
  async (recording, expected) => {
    const body = createChatBody({
      model: `replay:${recording}`,
      stream: !recording.endsWith('.json'),
    })
    const answer = await postChat(gateway.url, body)
    expect(answer).toMatchObject({ status: 200, failure: null })
    const entry = await readOnlyEntry()
    expect(sha256Hex(answer.body)).toBe(entry.responseSha256)
    const { claims } = await expectVerified(gateway.url, answer, body)
    expect(claims).toMatchObject({
      outcome: { state: 'complete', finish: 'stop' },
      usage: expected,
    })
    expect(claims['model']).not.toMatchObject({ asserted: null })
  },
)
