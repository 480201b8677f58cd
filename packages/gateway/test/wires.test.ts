import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { callRaw } from '../../../test/provider/raw-client.ts'
import { absence, hasRecordings, recordingsDir } from '../../../test/provider/recordings.ts'
import type { LoggedRequest } from '../../../test/provider/request-log.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { sha256Hex } from './support/chat-call.ts'
import { expectVerified } from './support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'
import {
  createForm,
  createWireCall,
  everyUpstream,
  sendForm,
  sendWireCall,
} from './support/wire-calls.ts'

const apiKey = 'sk-loopback-operator'

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  const options = hasRecordings ? { recordingsDir } : {}
  provider = await startLoopbackProvider({ ...options, apiKey })
  const upstreams = everyUpstream(provider).map((each) => ({ ...each, apiKeyEnv: 'PROVIDER_KEY' }))
  gateway = await startGateway({
    config: { upstreams },
    environment: { PROVIDER_KEY: apiKey },
  })
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

const counted = { source: 'provider', raw: expect.stringMatching(/^\{/) }
const uncounted = { source: 'none', raw: null, input: null, output: null }
const said = { ...counted, input: 8, output: 15 }

const wires: readonly (readonly [wire: string, more: object, claims: object])[] = [
  ['responses', {}, { usage: said, outcome: { finish: 'completed' } }],
  ['responses', { stream: true }, { usage: said, outcome: { finish: 'completed' } }],
  ['responses', { max_output_tokens: 2 }, { outcome: { finish: 'max_output_tokens' } }],
  ['completions', {}, { usage: said, outcome: { finish: 'stop' } }],
  ['completions', { stream: true }, { usage: said, outcome: { finish: 'stop' } }],
  ['embeddings', {}, { usage: { ...counted, output: 0 } }],
  ['moderations', {}, { usage: uncounted }],
  ['images', {}, { usage: { ...counted, output: 272 } }],
  ['images', { stream: true }, { usage: { ...counted, output: 272 } }],
  ['speech', {}, { usage: uncounted }],
  ['speech', { stream: true }, { usage: { ...counted, output: 101 } }],
  ['messages', {}, { usage: said, outcome: { finish: 'end_turn' } }],
  ['messages', { stream: true }, { usage: said, outcome: { finish: 'end_turn' } }],
  ['count-tokens', {}, { usage: uncounted }],
  ['generate', {}, { usage: said, outcome: { finish: 'STOP' } }],
  ['stream-generate', {}, { usage: said, outcome: { finish: 'STOP' } }],
  ['stream-array', {}, { usage: said, outcome: { finish: 'STOP' } }],
  ['google-count', {}, { usage: uncounted }],
  ['embed', {}, { usage: uncounted }],
  ['batch-embed', {}, { usage: uncounted }],
]

test.each(wires)(
  'passes a call of %s %j byte by byte, with a receipt that verifies',
  async (wire, more, expected) => {
    const call = createWireCall(wire, 'loopback-echo', more)
    const answer = await sendWireCall(gateway.url, call)
    expect(answer, answer.body.toString()).toMatchObject({ status: 200, failure: null })
    const entry = await readOnlyEntry()
    expect(entry.path).toBe(call.path)
    expect(Buffer.from(entry.bodyBase64 ?? '', 'base64').equals(call.body)).toBe(true)
    expect(sha256Hex(answer.body)).toBe(entry.responseSha256)
    const { claims } = await expectVerified(gateway.url, answer, call.body)
    const [path = '', query] = call.path.split('?')
    expect(claims).toMatchObject({
      forwarded: { transform: 'identity', sha256: sha256Hex(call.body) },
      request: { method: 'POST', path },
      response: { status: 200, transform: 'identity', sha256: entry.responseSha256 },
      model: { requested: 'loopback-echo' },
      ...expected,
    })
    expect(claims['outcome']).toMatchObject({ state: 'complete', error: null })
    expect(claims['query']).toBe(query)
    const isStream = String(answer.headers['content-type']).startsWith('text/event-stream')
    expect(claims['stream'] !== undefined).toBe(isStream)
    expect(isStream).toBe('stream' in more || wire === 'stream-generate')
  },
)

test('shows each provider the key of the operator and nothing of the caller’s own', async () => {
  const secrets = {
    authorization: 'Bearer sk-caller-1',
    'x-api-key': 'sk-caller-2',
    'x-goog-api-key': 'sk-caller-3',
    'openai-organization': 'org-caller',
    'x-stainless-lang': 'js',
    'openai-beta': 'x=1',
    'anthropic-beta': 'a,b',
  }
  const expected = [
    ['chat', 'authorization', `Bearer ${apiKey}`, ['openai-beta']],
    ['messages', 'x-api-key', apiKey, ['anthropic-beta', 'anthropic-version']],
    ['generate', 'x-goog-api-key', apiKey, []],
  ] as const
  for (const [wire, name, value, passed] of expected) {
    await provider.reset()
    const call = createWireCall(wire, 'loopback-echo')
    const answer = await sendWireCall(gateway.url, call, { headers: secrets })
    expect(answer.status).toBe(200)
    const { headers } = await readOnlyEntry()
    expect(headers[name]).toBe(value)
    expect(JSON.stringify(headers)).not.toContain('caller')
    const known = new Set([
      'accept',
      'accept-encoding',
      'connection',
      'content-length',
      'content-type',
    ])
    const others = Object.keys(headers).filter((each) => !known.has(each))
    expect(others.toSorted()).toEqual([name, 'host', 'user-agent', ...passed].toSorted())
    const { claims } = await expectVerified(gateway.url, answer, call.body)
    expect(JSON.stringify(claims)).not.toContain('sk-')
  }
})

test.each(['responses', 'messages', 'stream-generate'])(
  'sees on the wire of %s that a provider fails inside its stream',
  async (wire) => {
    const call = createWireCall(wire, 'hostile-error-in-stream', { stream: true })
    const answer = await sendWireCall(gateway.url, call)
    const entry = await readOnlyEntry()
    expect(sha256Hex(answer.body)).toBe(entry.responseSha256)
    const { claims } = await expectVerified(gateway.url, answer, call.body)
    expect(claims['outcome']).toMatchObject({ state: 'upstream-error', error: 'error-in-stream' })
  },
)

test.each(['responses', 'messages', 'stream-generate'])(
  'cuts the answer of %s that ends before its protocol does',
  async (wire) => {
    const call = createWireCall(wire, 'hostile-eof-mid', { stream: true })
    const answer = await sendWireCall(gateway.url, call)
    expect(answer.status).toBe(200)
    expect(answer.failure).not.toBeNull()
    const { claims } = await expectVerified(gateway.url, answer, call.body)
    expect(claims['outcome']).toMatchObject({ state: 'upstream-error', error: 'stream-incomplete' })
  },
)

test.each(['responses', 'messages', 'stream-generate'])(
  'leaves the provider of %s when its caller leaves',
  async (wire) => {
    const call = createWireCall(wire, 'loopback-slow-20000', { stream: true })
    const answer = await sendWireCall(gateway.url, call, { leaveWhen: (bytes) => bytes > 0 })
    expect(answer.status).toBe(200)
    expect((await readOnlyEntry()).end.kind).toBe('aborted-by-client')
    const { claims } = await expectVerified(gateway.url, answer, call.body, {})
    expect(claims['outcome']).toMatchObject({ state: 'aborted-by-client' })
  },
)

const replays: readonly (readonly [wire: string, recording: string, usage: object])[] = [
  ['responses', 'openai/responses/openai-web-search-tool.1.json', { output: 3773 }],
  ['responses', 'openai/responses/openai-web-search-tool.1.chunks.txt', { output: 4416 }],
  ['completions', 'openai/completion/openai-completion-text.chunks.txt', { input: 14, output: 16 }],
  ['embeddings', 'openai/embedding/openai-embedding.json', counted],
  ['messages', 'anthropic/native/anthropic-web-fetch-tool.1.chunks.txt', { input: 4230 }],
  ['messages', 'anthropic/native/anthropic-web-search-tool.1.json', { input: 27118, output: 600 }],
  ['messages', 'anthropic/native/duplicate-message-start.chunks.txt', { input: 17, output: 227 }],
  ['stream-generate', 'google/native/google-text.chunks.txt', { input: 9, output: 208 }],
  ['generate', 'google/native/google-text.json', counted],
]

test.skipIf(!hasRecordings).each(replays)(
  `relays on %s the recording %s with the usage that it reports${absence}`,
  async (wire, recording, usage) => {
    const stream = recording.endsWith('.txt')
    const call = createWireCall(wire, `replay:${recording}`, stream ? { stream } : {})
    const answer = await sendWireCall(gateway.url, call)
    expect(answer).toMatchObject({ status: 200, failure: null })
    expect(sha256Hex(answer.body)).toBe((await readOnlyEntry()).responseSha256)
    const { claims } = await expectVerified(gateway.url, answer, call.body)
    expect(claims).toMatchObject({ outcome: { state: 'complete', error: null }, usage })
  },
)

const recording = Buffer.from([0xff, 0xfb, 0x90, 0x0d, 0x0a, 0x2d, 0x2d, 0x00])

test('passes forms and states each part by its hash', async () => {
  const fields = [
    { name: 'file', filename: 'a.mp3', content: recording },
    { name: 'model', content: 'loopback-echo' },
    { name: 'prompt', content: 'Grüße' },
  ]
  const body = createForm(fields)
  const answer = await sendForm(gateway.url, '/v1/audio/transcriptions', body)
  expect(answer, answer.body.toString()).toMatchObject({ status: 200, failure: null })
  expect((await readOnlyEntry()).bodyBase64).toBe(body.toString('base64'))
  const { claims } = await expectVerified(gateway.url, answer, body)
  expect(claims['parts']).toEqual(
    fields.map(({ name, content }) => ({
      name,
      bytes: Buffer.byteLength(content),
      sha256: sha256Hex(Buffer.from(content)),
    })),
  )
  expect(claims).toMatchObject({
    model: { requested: 'loopback-echo' },
    parameters: { model: '"loopback-echo"', prompt: '"Grüße"' },
    usage: { source: 'provider' },
  })
})

test('gives a receipt for the largest form whose fields it states', async () => {
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEF'
  const fields = [
    { name: 'file', filename: 'a.mp3', content: recording },
    { name: 'model', content: 'loopback-echo' },
    // A control character is one byte here and six in a JSON string; a letter of a name can be three bytes.
    ...Array.from(letters, (letter) => ({
      name: letter + '\u20ac'.repeat(63),
      content: '\u0001'.repeat(256),
    })),
    ...Array.from(letters.slice(4), (letter) => ({
      name: '\u20ac'.repeat(63) + letter,
      content: 'x'.repeat(256),
    })),
    { name: 'twice', content: '1' },
    { name: 'twice', content: '2' },
  ]
  expect(fields).toHaveLength(64)
  const body = createForm(fields)
  const answer = await sendForm(gateway.url, '/v1/audio/transcriptions', body)
  expect(answer, answer.body.toString()).toMatchObject({ status: 200, failure: null })
  const { claims } = await expectVerified(gateway.url, answer, body)
  expect(claims['parts']).toHaveLength(64)
  expect(claims['parameters']).toHaveProperty('model')
  expect(claims['parameters']).not.toHaveProperty('twice')
})

test('returns sound and plain text as they are', async () => {
  const speech = createWireCall('speech', 'loopback-echo')
  const sound = await sendWireCall(gateway.url, speech)
  expect(sound.headers['content-type']).toBe('audio/mpeg')
  expect([...sound.body.subarray(0, 2)]).toEqual([0xff, 0xf3])
  await expectVerified(gateway.url, sound, speech.body)
  const body = createForm([
    { name: 'model', content: 'loopback-echo' },
    { name: 'response_format', content: 'text' },
    { name: 'file', filename: 'a.mp3', content: recording },
  ])
  const text = await sendForm(gateway.url, '/v1/audio/translations', body)
  expect(text).toMatchObject({ status: 200, headers: { 'content-type': /^text\/plain/ } })
  await expectVerified(gateway.url, text, body)
})

const file = { name: 'file', filename: 'a.mp3', content: recording }
const model = { name: 'model', content: 'loopback-echo' }
const good = createForm([file, model])
const odd = good.toString('latin1')
const forms: readonly (readonly [what: string, body: Buffer])[] = [
  ['two models', createForm([model, { name: 'model', content: 'other' }, file])],
  ['no model', createForm([file])],
  ['a model that is a file', createForm([{ ...model, filename: 'm' }, file])],
  ['a model in capitals', createForm([{ ...model, name: 'MODEL' }, model, file])],
  ['no end', good.subarray(0, -4)],
  ['something before it', Buffer.concat([Buffer.from('x'), good])],
  ['something after it', Buffer.concat([good, Buffer.from('x')])],
  [
    'a boundary that goes on',
    Buffer.from(odd.replace('--frontier7\r\n', '--frontier77\r\n'), 'latin1'),
  ],
  ['line feeds alone', Buffer.from(odd.replaceAll('\r\n', '\n'), 'latin1')],
  ['a part without a name', Buffer.from(odd.replace('; name="model"', ''), 'latin1')],
  [
    'an encoded part',
    Buffer.from(odd.replace('"model"', '"model"\r\nContent-Transfer-Encoding: base64'), 'latin1'),
  ],
  [
    'two dispositions',
    Buffer.from(
      odd.replace('"model"', '"model"\r\nContent-Disposition: form-data; name="x"'),
      'latin1',
    ),
  ],
  [
    '65 parts',
    createForm([...Array.from({ length: 65 }, () => ({ name: 'a', content: '' })), model]),
  ],
  ['JSON', Buffer.from('{"model":"loopback-echo"}')],
  ['nothing', Buffer.alloc(0)],
]

test.each(forms)('refuses a form with %s', async (_, body) => {
  const answer = await sendForm(gateway.url, '/v1/audio/transcriptions', body)
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'request-malformed' })
  await expectVerified(gateway.url, answer, body)
  expect(await provider.log()).toEqual([])
})

test('refuses a body of another type than its path reads', async () => {
  const { body } = createWireCall('chat', 'loopback-echo')
  const types = ['application/x-www-form-urlencoded', 'multipart/form-data; boundary=a', 'text/xml']
  for (const type of types) {
    const answer = await callRaw({
      url: `${gateway.url}/v1/chat/completions`,
      method: 'POST',
      body,
      headers: { 'content-type': type },
    })
    expect(answer.status, type).toBe(400)
  }
  expect(await provider.log()).toEqual([])
})

test.each(['v1', 'v1beta'])(
  'takes the paths of Google at /%s as at its upstream',
  async (version) => {
    for (const method of ['generateContent', 'streamGenerateContent?alt=sse', 'countTokens']) {
      await provider.reset()
      const call = createWireCall('generate', 'loopback-echo')
      const path = `/${version}/models/loopback-echo:${method}`
      const answer = await sendWireCall(gateway.url, { ...call, path })
      expect(answer.status).toBe(200)
      const { claims } = await expectVerified(gateway.url, answer, call.body)
      const source = method === 'countTokens' ? 'none' : 'provider'
      expect(claims).toMatchObject({
        request: { path: path.replace(/\?.*/, '') },
        usage: { source },
      })
      const { path: forwarded } = await readOnlyEntry()
      expect(forwarded).toBe(`/v1beta/models/loopback-echo:${method}`)
    }
  },
)
