import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { drawRoutes } from '../src/call/draw-routes.ts'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { expectVerified, receiptOf, type FetchedReceipt } from './support/receipts.ts'
import {
  answerChat,
  answerError,
  startRecordingUpstream,
  type RecordingUpstream,
} from './support/recording-upstream.ts'
import {
  createConfig,
  createGatewayFolder,
  disposeGateway,
  runToEnd,
  startGateway,
  type RunningGateway,
} from './support/start-gateway.ts'

let a: RecordingUpstream
let b: RecordingUpstream
let gateway: RunningGateway
let headers: Readonly<Record<string, string>>
const folder = createGatewayFolder()
const keysFile = join(folder, 'data', 'api-keys.db')

beforeAll(async () => {
  a = await startRecordingUpstream(() => undefined)
  b = await startRecordingUpstream(() => undefined)
  const price = { perMillionAtomic: { input: '1000000', output: '2000000' } }
  const limits = { contextTokens: 5000, maxOutputTokens: 1000 }
  const priced = { upstream: 'a', provider: 'openai', upstreamModel: 'a-m', price, limits }
  const toB = { upstream: 'b', upstreamModel: 'b-m' }
  gateway = await startGateway({
    folder,
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [
        { name: 'a', baseUrl: a.url },
        { name: 'b', baseUrl: b.url },
        { name: 'closed', baseUrl: 'http://127.0.0.1:1/v1' },
        { name: 'ga', kind: 'google', baseUrl: a.url.replace('/v1', '/v1beta') },
        { name: 'gb', kind: 'google', baseUrl: b.url.replace('/v1', '/v1beta') },
      ],
      models: [
        {
          name: 'g',
          ...priced,
          upstream: 'ga',
          provider: 'google',
          routes: [{ upstream: 'gb', upstreamModel: 'b-m', weight: 0 }],
        },
        { name: 'm', ...priced, aliases: ['m-latest'], routes: [{ ...toB, weight: 0 }] },
        {
          name: 'retrying',
          ...priced,
          routes: [{ ...toB, weight: 0 }],
          retry: { attempts: 2, maxDelayMs: 1 },
        },
        { name: 'even', ...priced, routes: [toB] },
        {
          name: 'far',
          ...priced,
          upstream: 'closed',
          routes: [{ upstream: 'b', weight: 0 }],
        },
      ],
    },
  })
  const store = openApiKeyStore(keysFile)
  headers = { 'x-api-key': store.create('test', 1_000_000_000n, 1).secret }
  store.close()
})

afterAll(async () => {
  await disposeGateway(gateway)
  await a.stop()
  await b.stop()
})

beforeEach(() => {
  for (const upstream of [a, b]) {
    upstream.requests.length = 0
    upstream.answer = (response) => {
      answerChat(response)
    }
  }
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
): Promise<{ readonly answer: RawResult; readonly receipt: FetchedReceipt }> {
  const body = createChatBody({ model, stream: false })
  const answer = await postChat(gateway.url, body, { headers })
  return { answer, receipt: await expectVerified(gateway.url, answer, body) }
}

function modelsAsked({ requests }: RecordingUpstream): readonly unknown[] {
  return requests.map(({ body }) => {
    const json: { readonly model: unknown } = JSON.parse(body.toString())
    return json.model
  })
}

test('takes the first route while it answers, and says which one of several it was', async () => {
  for (let round = 0; round < 10; round++) {
    const { receipt } = await call(round % 2 === 0 ? 'm' : 'm-latest')
    expect(receipt.claims['attempts']).toEqual({ count: 1, failed: [], upstream: 'a' })
  }
  expect(modelsAsked(a)).toEqual(Array(10).fill('a-m'))
  expect(b.requests).toEqual([])
})

test.each([401, 402, 403, 429, 500, 502, 503, 504, 529])(
  'goes to the next route after status %s, under its name of the model, at the price of the model',
  async (status) => {
    a.answer = (response) => {
      answerError(response, status)
    }
    const before = chargedAtomic()
    const { answer, receipt } = await call('m-latest')
    expect(answer.status).toBe(200)
    expect([modelsAsked(a), modelsAsked(b)]).toEqual([['a-m'], ['b-m']])
    expect(receipt.claims).toMatchObject({
      attempts: { count: 2, failed: [{ upstream: 'a', error: `status-${status}` }], upstream: 'b' },
      model: { requested: 'm-latest' },
      routing: { model: 'b-m' },
      upstream: { host: new URL(b.url).host },
      forwarded: { transform: 'model-name', bytes: b.requests[0]?.body.length },
    })
    // 10 tokens in, 5 out.
    expect(receipt.payload.charge.amountAtomic).toBe(20n)
    expect(chargedAtomic() - before).toBe(20n)
  },
)

test('streams from the next route, with the chain of what it sent', async () => {
  const sse = 'data: {"id":"c","model":"b-m","choices":[]}\n\ndata: [DONE]\n\n'
  a.answer = (response) => {
    answerError(response, 429)
  }
  b.answer = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(sse)
  }
  const body = createChatBody({ model: 'm', stream: true })
  const answer = await postChat(gateway.url, body, { headers })
  expect(answer.body.toString()).toBe(sse)
  const { claims } = await expectVerified(gateway.url, answer, body)
  expect(claims).toMatchObject({
    attempts: { count: 2, upstream: 'b' },
    outcome: { state: 'complete' },
    stream: { events: 2 },
  })
})

test('puts the name that the next route has for the model into a path, too', async () => {
  a.answer = (response) => {
    answerError(response, 503)
  }
  b.answer = (response) => {
    const candidates = [{ content: { parts: [{ text: 'x' }] }, finishReason: 'STOP' }]
    const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ candidates, usageMetadata, modelVersion: 'b-m' }))
  }
  const body = Buffer.from('{"contents":[{"parts":[{"text":"x"}]}]}')
  const answer = await callRaw({
    url: `${gateway.url}/v1beta/models/g:generateContent`,
    method: 'POST',
    body,
    headers: { ...headers, 'content-type': 'application/json' },
  })
  expect(answer.status).toBe(200)
  const paths = [a, b].map(({ requests }) => requests.map(({ path }) => path))
  expect(paths).toEqual([
    ['/v1beta/models/a-m:generateContent'],
    ['/v1beta/models/b-m:generateContent'],
  ])
  const { claims, payload } = await expectVerified(gateway.url, answer, body)
  expect(claims).toMatchObject({
    attempts: { count: 2, failed: [{ upstream: 'ga', error: 'status-503' }], upstream: 'gb' },
    routing: { model: 'b-m' },
    forwarded: { transform: 'identity' },
  })
  expect(payload.charge.amountAtomic).toBe(20n)
})

test('goes on only after a route has had all of its attempts', async () => {
  a.answer = (response) => {
    answerError(response, 503)
  }
  const { receipt } = await call('retrying')
  const failed = { upstream: 'a', error: 'status-503' }
  expect(receipt.claims['attempts']).toEqual({ count: 3, failed: [failed, failed], upstream: 'b' })
  expect([a.requests.length, b.requests.length]).toEqual([2, 1])
})

test('goes to the next route when nothing listens', async () => {
  const { receipt } = await call('far')
  expect(receipt.claims).toMatchObject({
    attempts: { count: 2, failed: [{ upstream: 'closed', error: 'unreachable' }], upstream: 'b' },
    outcome: { state: 'complete' },
  })
  expect(modelsAsked(b)).toEqual(['a-m'])
})

test('stays with a route that says that the request is at fault, or that may have served it', async () => {
  for (const status of [400, 404, 413, 422]) {
    a.answer = (response) => {
      answerError(response, status)
    }
    expect((await call('m')).answer.status).toBe(status)
  }
  a.answer = (response) => {
    response.socket?.resetAndDestroy()
  }
  expect((await call('m')).answer.status).toBe(502)
  expect(b.requests).toEqual([])
})

test('passes on what the last route says when all fail, and charges nothing', async () => {
  for (const upstream of [a, b]) {
    upstream.answer = (response) => {
      answerError(response, 503, {}, { message: upstream === a ? 'first' : 'last' })
    }
  }
  const before = chargedAtomic()
  const { answer, receipt } = await call('m')
  expect(answer.status).toBe(503)
  expect(answer.body.toString()).toContain('last')
  expect(receipt.claims).toMatchObject({
    attempts: { count: 2, upstream: 'b' },
    outcome: { state: 'upstream-error', error: 'status-503' },
  })
  expect(chargedAtomic()).toBe(before)
})

test('shares calls among routes, and goes the other way round when one fails', async () => {
  // Both are drawn: that 40 draws are equal happens once in 5 × 10^11 runs.
  for (let round = 0; round < 40; round++) await call('even')
  expect(a.requests.length + b.requests.length).toBe(40)
  expect(Math.min(a.requests.length, b.requests.length)).toBeGreaterThan(0)
  b.answer = (response) => {
    answerError(response, 500)
  }
  for (let round = 0; round < 10; round++) {
    const { answer, receipt } = await call('even')
    expect(answer.status).toBe(200)
    expect(receipt.claims).toMatchObject({ attempts: { upstream: 'a' } })
  }
})

function answerResponse(name: string): RecordingUpstream['answer'] {
  return (response, _, index) => {
    const id = `resp_${name}${index}_${randomBytes(4).toString('hex')}`
    const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2 }
    const body = { id, object: 'response', status: 'completed', model: 'x', output: [], usage }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
}

async function respond(more: object): Promise<RawResult> {
  return callRaw({
    url: `${gateway.url}/v1/responses`,
    method: 'POST',
    body: JSON.stringify({ model: 'even', input: 'x', ...more }),
    headers: { ...headers, 'content-type': 'application/json' },
  })
}

test('sends what refers to an earlier answer to the upstream that has it, and nowhere else', async () => {
  a.answer = answerResponse('a')
  b.answer = answerResponse('b')
  let owners = new Set<string>()
  for (let round = 0; round < 60 && owners.size < 2; round++) {
    const first: { readonly id: string } = JSON.parse((await respond({})).body.toString())
    const owner = first.id.charAt('resp_'.length)
    owners = owners.add(owner)
    const [own, other] = owner === 'a' ? [a, b] : [b, a]
    const ownCount = own.requests.length
    const otherCount = other.requests.length
    for (let again = 0; again < 6; again++) {
      expect((await respond({ previous_response_id: first.id })).status).toBe(200)
    }
    const stored = await callRaw({ url: `${gateway.url}/v1/responses/${first.id}`, headers })
    expect(stored.status).toBe(200)
    own.answer = (response) => {
      answerError(response, 503)
    }
    const failed = await respond({ previous_response_id: first.id })
    expect(failed.status).toBe(503)
    expect(receiptOf(failed.headers).id).toMatch(/^[0-9a-f]{32}$/)
    own.answer = answerResponse(owner)
    expect(own.requests.length - ownCount).toBe(8)
    expect(other.requests.length).toBe(otherCount)
  }
  expect(owners.size).toBe(2)
})

test('draws routes by their weights, and never the last resorts before the others', () => {
  const routes = [
    { model: 'x', weight: 0 },
    { model: 'one', weight: 1 },
    { model: 'three', weight: 3 },
    { model: 'y', weight: 0 },
  ]
  const counts = new Map<string, number>()
  // Evenly spread lots instead of chance: exactly a quarter is the share of the first.
  for (let lot = 0; lot < 400; lot++) {
    const random = (): Buffer => {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32LE(Math.floor((lot / 400) * 2 ** 32))
      return bytes
    }
    const drawn = drawRoutes(routes, random).map(({ model }) => model)
    expect(drawn.toSorted()).toEqual(['one', 'three', 'x', 'y'])
    expect(drawn.slice(2)).toEqual(['x', 'y'])
    counts.set(String(drawn[0]), (counts.get(String(drawn[0])) ?? 0) + 1)
  }
  expect([counts.get('one'), counts.get('three')]).toEqual([100, 300])
})

test('does not start with a route to an upstream of another kind, or to none', async () => {
  const model = {
    name: 'm',
    upstream: 'a',
    provider: 'openai',
    price: { perCallAtomic: '1' },
  }
  for (const upstream of ['x', 'nowhere']) {
    const config = createConfig({
      config: {
        upstreams: [
          { name: 'a', baseUrl: 'https://a.invalid/v1' },
          { name: 'x', kind: 'xai', baseUrl: 'https://x.invalid/v1' },
        ],
        models: [{ ...model, routes: [{ upstream }] }],
      },
    })
    const file = join(folder, `${upstream}.json`)
    writeFileSync(file, JSON.stringify(config))
    const ended = await runToEnd(['--config', file])
    expect(ended.code).toBe(78)
    expect(ended.stderr).toContain(`no upstream ${upstream} of kind openai`)
  }
})
