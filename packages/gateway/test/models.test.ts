import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { sha256Hex } from './support/chat-call.ts'
import { expectVerified } from './support/receipts.ts'
import {
  createGatewayFolder,
  disposeGateway,
  startGateway,
  type RunningGateway,
} from './support/start-gateway.ts'
import { createForm, createWireCall, sendForm, sendWireCall } from './support/wire-calls.ts'

const folder = createGatewayFolder()
const keysFile = join(folder, 'data', 'api-keys.db')
const budgetAtomic = 1_000_000_000n

let provider: TlsLoopbackProvider
let gateway: RunningGateway
let headers: Readonly<Record<string, string>>

const rates = { input: '2000000', output: '3000000' }
const limits = { contextTokens: 10_000, maxOutputTokens: 1000, hidesReasoning: false }

const meteredModel = (name: string, provider_: string, upstreamModel: string): object => ({
  name,
  aliases: [`${name}-latest`],
  upstream: provider_,
  provider: provider_,
  upstreamModel,
  price: { perCallAtomic: '5', perMillionAtomic: rates },
  limits,
})

beforeAll(async () => {
  provider = await startLoopbackProvider()
  const { url, caFile } = provider
  const upstreams = [
    { name: 'openai', baseUrl: url, caFile },
    { name: 'anthropic', kind: 'anthropic', baseUrl: url, caFile },
    { name: 'google', kind: 'google', baseUrl: url.replace(/v1$/, 'v1beta'), caFile },
  ]
  gateway = await startGateway({
    folder,
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams,
      models: [
        meteredModel('house-chat', 'openai', 'loopback-echo'),
        { ...meteredModel('shy-chat', 'openai', 'loopback-echo'), addUsage: false },
        { ...meteredModel('loopback-echo', 'openai', 'loopback-echo'), aliases: [] },
        meteredModel('house-slow', 'openai', 'loopback-slow-20000'),
        meteredModel('house-failing', 'openai', 'hostile-status-500'),
        meteredModel('house-claude', 'anthropic', 'loopback-echo'),
        meteredModel('house-gemini', 'google', 'loopback-echo'),
        {
          ...meteredModel('house-voice', 'openai', 'loopback-echo'),
          price: { perMillionAtomic: { input: '2000000', 'output-audio': '3000000' } },
        },
        {
          name: 'flat',
          upstream: 'openai',
          provider: 'openai',
          upstreamModel: 'loopback-echo',
          price: { perCallAtomic: '40' },
        },
      ],
    },
  })
  const store = openApiKeyStore(keysFile)
  const { secret } = store.create('test', budgetAtomic, 1)
  store.close()
  headers = { 'x-api-key': secret }
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

beforeEach(async () => {
  await provider.reset()
})

function chargedAtomic(): bigint {
  const store = openApiKeyStore(keysFile)
  try {
    return store.list()[0]?.chargedAtomic ?? -1n
  } finally {
    store.close()
  }
}

const aliased = [
  ['chat', 'house-chat'],
  ['chat', 'house-chat-latest'],
  ['responses', 'house-chat'],
  ['messages', 'house-claude'],
  ['generate', 'house-gemini'],
  ['stream-generate', 'house-gemini-latest'],
] as const

test.each(aliased)(
  'asks the upstream of %s for its own name of %s, and says so',
  async (wire, model) => {
    const call = createWireCall(wire, model)
    const answer = await sendWireCall(gateway.url, call, { headers })
    expect(answer, answer.body.toString()).toMatchObject({ status: 200, failure: null })
    const [entry] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
    const received = Buffer.from(entry?.bodyBase64 ?? '', 'base64')
    expect(received.toString()).toBe(call.body.toString().replace(model, 'loopback-echo'))
    expect(entry?.path).toBe(call.path.replace(model, 'loopback-echo'))
    const { claims } = await expectVerified(gateway.url, answer, call.body)
    const isInPath = wire === 'generate' || wire === 'stream-generate'
    expect(claims).toMatchObject({
      model: { requested: model, asserted: 'loopback-echo' },
      // The name that was asked for, or nobody can say whose rates they are (ME7.4).
      rates: expect.stringMatching(`^\\["${model}","5",`),
      routing: { model: 'loopback-echo' },
      request: { sha256: sha256Hex(call.body) },
      forwarded: {
        transform: isInPath ? 'identity' : 'model-name',
        bytes: received.length,
        sha256: sha256Hex(received),
      },
    })
  },
)

const field = (content: string): Buffer =>
  createForm([
    { name: 'model', content },
    { name: 'file', filename: 'a', content: 'model flat' },
  ])

test('puts the name of the model into a form', async () => {
  const body = field('flat')
  const answer = await callRaw({
    url: `${gateway.url}/v1/audio/transcriptions`,
    method: 'POST',
    body,
    headers: { ...headers, 'content-type': 'multipart/form-data; boundary=frontier7' },
  })
  expect(answer.status).toBe(200)
  const [entry] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  expect(entry?.bodyBase64).toBe(field('loopback-echo').toString('base64'))
  const { claims } = await expectVerified(gateway.url, answer, body)
  expect(claims).toMatchObject({ forwarded: { transform: 'model-name' } })
  expect((await sendForm(gateway.url, '/v1/audio/speech', body)).status).toBe(400)
})

async function callMetered(wire: string, model: string, more: object = {}): Promise<RawResult> {
  return sendWireCall(gateway.url, createWireCall(wire, model, more), { headers })
}

test.each([
  ['chat', 'house-chat', {}],
  ['chat', 'house-chat', { stream: true, stream_options: { include_usage: true } }],
  ['responses', 'house-chat', { stream: true }],
  ['messages', 'house-claude', { stream: true }],
  ['stream-generate', 'house-gemini', {}],
] as const)('charges a call of %s to %s %j by its use, to the unit', async (wire, model, more) => {
  const before = chargedAtomic()
  const call = createWireCall(wire, model, more)
  const answer = await callMetered(wire, model, more)
  expect(answer.status, answer.body.toString()).toBe(200)
  const { claims, payload } = await expectVerified(gateway.url, answer, call.body)
  const { usage, metering, price } = claims
  if (typeof usage !== 'object' || usage === null || !('input' in usage))
    throw new Error('no usage')
  const expected = 5n + 2n * BigInt(Number(usage['input'])) + 3n * BigInt(Number(usage['output']))
  expect(expected).toBeGreaterThan(20n)
  expect(payload.charge.amountAtomic).toBe(expected)
  expect(chargedAtomic() - before).toBe(expected)
  expect(metering).toMatchObject({ source: 'provider', capped: false, notes: [] })
  // What was authorised is the price that stands in the receipt, and far more than the charge.
  expect(price).toMatchObject({ amount: expect.stringMatching(/^[0-9a-f]+$/) })
  const { amount } = { amount: '', ...Object(price) }
  expect(BigInt(`0x${amount}`)).toBeGreaterThan(2000n)
})

test('counts speech as sound: by its figures, and as bytes up to its bound', async () => {
  const counted = createWireCall('speech', 'house-voice', { stream: true })
  const streamed = await callMetered('speech', 'house-voice', { stream: true })
  const exact = await expectVerified(gateway.url, streamed, counted.body)
  const { counts } = { counts: {}, ...Object(exact.claims['metering']) }
  expect(counts).toMatchObject({ 'output-audio': expect.any(Number) })
  const call = createWireCall('speech', 'house-voice')
  const sound = await callMetered('speech', 'house-voice')
  const { claims, payload } = await expectVerified(gateway.url, sound, call.body)
  const tokens = Math.min(sound.body.length, limits.maxOutputTokens)
  expect(tokens).toBeGreaterThan(0)
  expect(claims['metering']).toMatchObject({
    source: 'estimated',
    counts: { 'output-audio': tokens },
  })
  expect(payload.charge.amountAtomic).toBeGreaterThanOrEqual(3n * BigInt(tokens))
})

test('charges who leaves for what was seen, by an estimate within what was authorised', async () => {
  const before = chargedAtomic()
  const call = createWireCall('chat', 'house-slow', { stream: true, max_tokens: 500 })
  const answer = await sendWireCall(gateway.url, call, {
    headers,
    leaveWhen: (bytes) => bytes > 0,
  })
  const { claims, payload } = await expectVerified(gateway.url, answer, call.body, {})
  expect(claims).toMatchObject({
    outcome: { state: 'aborted-by-client' },
    metering: { source: 'estimated', capped: false },
  })
  const { amountAtomic } = payload.charge
  // The call, what went in, and the words that came, each by its rate; the whole answer costs no less.
  expect(amountAtomic).toBeGreaterThan(10n)
  expect(amountAtomic).toBeLessThan(40n)
  expect(chargedAtomic() - before).toBe(amountAtomic)
})

test('asks for the usage of a stream that did not, charges by it, and keeps its chunk in the receipt', async () => {
  const call = createWireCall('chat', 'house-chat', { stream: true })
  const answer = await callMetered('chat', 'house-chat', { stream: true })
  const [entry] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  const forwarded = Buffer.from(entry?.bodyBase64 ?? '', 'base64')
  expect(forwarded.toString()).toBe(
    call.body
      .toString()
      .replace('house-chat', 'loopback-echo')
      .replace('"stream":true', '"stream":true,"stream_options":{"include_usage":true}'),
  )
  expect(answer.body.toString()).not.toContain('"choices":[]')
  expect(answer.body.toString()).toMatch(/data: \[DONE\]\n\n$/)
  const { claims, payload } = await expectVerified(gateway.url, answer, call.body)
  expect(claims).toMatchObject({
    forwarded: { transform: 'include-usage+model-name', sha256: sha256Hex(forwarded) },
    response: { transform: 'usage-removed', sha256: sha256Hex(answer.body) },
    metering: { source: 'provider' },
    outcome: { state: 'complete' },
  })
  // The provider's bytes, from what the caller and the receipt hold.
  const { data, start } = { data: '', start: 0, ...Object(claims['removed']) }
  const removed = Buffer.from(data, 'hex')
  expect(removed.toString()).toMatch(/^data: \{.*"choices":\[\].*\}\n\n$/)
  const whole = [answer.body.subarray(0, start), removed, answer.body.subarray(start)]
  expect(claims['upstream-response']).toMatchObject({ sha256: sha256Hex(Buffer.concat(whole)) })
  expect(payload.charge.amountAtomic).toBeLessThan(4096n)
})

test('leaves a stream as it is for who forbids a rewrite, and estimates what it used', async () => {
  const call = createWireCall('chat', 'loopback-echo', { stream: true })
  const forbidding = { headers: { ...headers, 'x-countersign-rewrite': 'none' } }
  const answer = await sendWireCall(gateway.url, call, forbidding)
  expect(answer.status, answer.body.toString()).toBe(200)
  const [entry] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  expect(entry?.bodyBase64).toBe(call.body.toString('base64'))
  expect(entry?.headers).not.toHaveProperty('x-countersign-rewrite')
  const { claims } = await expectVerified(gateway.url, answer, call.body)
  expect(claims).toMatchObject({
    forwarded: { transform: 'identity' },
    response: { transform: 'identity' },
    metering: { source: 'estimated' },
  })
  expect(claims['removed']).toBeUndefined()
})

test.each([
  ['none', 'house-chat'],
  ['all', 'loopback-echo'],
])('refuses x-countersign-rewrite: %s for %s before anything is paid', async (value, model) => {
  const before = chargedAtomic()
  const call = createWireCall('chat', model, { stream: true })
  const answer = await sendWireCall(gateway.url, call, {
    headers: { ...headers, 'x-countersign-rewrite': value },
  })
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'request-malformed' })
  expect(chargedAtomic()).toBe(before)
  expect(await provider.log()).toEqual([])
})

test('asks for no usage where the configuration says no, and where use has no price', async () => {
  for (const model of ['shy-chat', 'flat']) {
    const call = createWireCall('chat', model, { stream: true })
    const answer = await callMetered('chat', model, { stream: true })
    const { claims } = await expectVerified(gateway.url, answer, call.body)
    expect(claims).toMatchObject({ usage: { source: 'none' }, response: { transform: 'identity' } })
  }
})

test('charges nothing for an upstream that failed, and what a flat call costs for a flat call', async () => {
  const before = chargedAtomic()
  const failed = await callMetered('chat', 'house-failing')
  expect(failed.status).toBe(500)
  expect(chargedAtomic() - before).toBe(0n)
  const call = createWireCall('chat', 'flat')
  const flat = await callMetered('chat', 'flat')
  const { claims, payload } = await expectVerified(gateway.url, flat, call.body)
  expect(payload.charge.amountAtomic).toBe(40n)
  expect(claims['metering']).toBeUndefined()
  expect(chargedAtomic() - before).toBe(40n)
})

test('refuses what has no bound and what has another price', async () => {
  const refused = [
    [{ service_tier: 'priority' }, 'service-not-priced'],
    [{ n: '2' }, 'request-malformed'],
    [{ N: 2 }, 'request-malformed'],
  ] as const
  for (const [more, code] of refused) {
    const answer = await callMetered('chat', 'house-chat', more)
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code })
  }
  expect(await provider.log()).toEqual([])
})

test('describes one model by its name or alias, with its prices by use', async () => {
  for (const id of ['house-chat', 'house-chat-latest']) {
    const answer = await callRaw({ url: `${gateway.url}/v1/models/${id}` })
    expect(JSON.parse(answer.body.toString())).toEqual({
      id,
      object: 'model',
      created: 0,
      owned_by: 'openai',
      price: {
        amount: '5',
        per: 'call',
        perMillion: [
          {
            aboveInput: 0,
            rates: expect.objectContaining({ input: '2000000', output: '3000000' }),
          },
        ],
      },
    })
  }
})

test('lists prices by use', async () => {
  const answer = await callRaw({ url: `${gateway.url}/v1/models` })
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    data: [
      {
        id: 'house-chat',
        price: {
          amount: '5',
          per: 'call',
          perMillion: [{ aboveInput: 0, rates: { input: '2000000', output: '3000000' } }],
        },
      },
      {},
      {},
      {},
      {},
      { id: 'house-voice', price: { perMillion: [{ rates: { 'output-audio': '3000000' } }] } },
      { id: 'flat', price: { amount: '40', per: 'call' } },
    ],
  })
})
