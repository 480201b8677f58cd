import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createErrorBody } from '../src/call/call-refused.ts'
import { openApiKeyStore, type KeyLimitChanges } from '../src/payment/api-key-store.ts'
import type { RawResult } from '../../../test/provider/raw-client.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { expectVerified } from './support/receipts.ts'
import {
  answerChat,
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
const folder = createGatewayFolder()
const keysFile = join(folder, 'data', 'api-keys.db')
const models = [{ id: 'm', priceAtomic: '7' }]

beforeAll(async () => {
  upstream = await startRecordingUpstream(() => undefined)
  gateway = await startGateway({
    folder,
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [{ name: 'a', baseUrl: upstream.url, models }],
      // A minute is longer than this test: nothing is gained meanwhile.
      limits: { perPayer: { callsPerMinute: 1, burst: 3 } },
    },
  })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
})

beforeEach(() => {
  upstream.requests.length = 0
  upstream.answer = (response) => {
    answerChat(response)
  }
})

function createKey(limits: KeyLimitChanges = {}): Readonly<Record<string, string>> {
  const store = openApiKeyStore(keysFile)
  const { secret, entry } = store.create('test', 1_000_000n, 1)
  store.limit(entry.id, limits)
  store.close()
  return { authorization: `Bearer ${secret}` }
}

const body = createChatBody({ model: 'm', stream: false })

async function call(headers: Readonly<Record<string, string>>): Promise<RawResult> {
  return postChat(gateway.url, body, { headers })
}

test('refuses calls above the rate with a signed 429 that says when to come again', async () => {
  const key = createKey()
  const answers: RawResult[] = []
  for (let count = 0; count < 5; count++) answers.push(await call(key))
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429])
  expect(upstream.requests).toHaveLength(3)
  const [, , , refused] = answers
  if (refused === undefined) throw new Error('five answers')
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(20)
  expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60)
  expect(refused.headers['x-should-retry']).toBe('true')
  expect(JSON.parse(refused.body.toString())).toMatchObject({
    code: 'rate-limited',
    error: { type: 'rate_limit_error', code: 'rate-limited' },
  })
  const { payload, claims } = await expectVerified(gateway.url, refused, body)
  expect(payload).toMatchObject({ type: 'refusal', charge: { amountAtomic: 0n } })
  expect(claims['refusal']).toEqual({ code: 'rate-limited', status: 429 })
  // Others are not held up by it.
  expect((await call(createKey())).status).toBe(200)
})

function read(dialect: 'anthropic' | 'google'): unknown {
  return JSON.parse(createErrorBody('rate-limited', '', dialect).toString())
}

test('writes such refusals in the form of each wire', () => {
  expect(read('anthropic')).toMatchObject({ type: 'error', error: { type: 'rate_limit_error' } })
  expect(read('google')).toMatchObject({ error: { code: 429, status: 'RESOURCE_EXHAUSTED' } })
})

test('lets a key have its own rate', async () => {
  // One more only after 15 s.
  const key = createKey({ callsPerMinute: 4 })
  const answers: number[] = []
  for (let count = 0; count < 5; count++) answers.push((await call(key)).status ?? 0)
  expect(answers).toEqual([200, 200, 200, 200, 429])
})

test('caps the calls of a key at a time, and gives each place back, however a call ends', async () => {
  const key = createKey({ callsPerMinute: 1000, concurrentCalls: 2 })
  const release = Promise.withResolvers<void>()
  upstream.answer = async (response) => {
    await release.promise
    answerChat(response)
  }
  const controller = new AbortController()
  const held = postChat(gateway.url, body, { headers: key })
  const left = postChat(gateway.url, body, { headers: key, leaveSignal: controller.signal })
  await upstream.arrived(2)
  const refused = await call(key)
  expect(refused.status).toBe(429)
  expect(JSON.parse(refused.body.toString())).toMatchObject({ code: 'concurrency-limited' })
  expect(refused.headers['retry-after']).toBe('1')
  controller.abort()
  expect((await left).status).toBeNull()
  release.resolve()
  expect((await held).status).toBe(200)
  // Refused requests give back what they took, too.
  for (let count = 0; count < 5; count++) {
    const unknown = createChatBody({ model: 'nobody', stream: false })
    expect((await postChat(gateway.url, unknown, { headers: key })).status).toBe(404)
  }
  for (let count = 0; count < 5; count++) expect((await call(key)).status).toBe(200)
  expect((await Promise.all([call(key), call(key)])).map(({ status }) => status)).toEqual([
    200, 200,
  ])
})

test('refuses a key whose budget for the day is used up, with 402', async () => {
  const key = createKey({ callsPerMinute: 1000, dailyBudgetAtomic: 20n })
  const answers: RawResult[] = []
  for (let count = 0; count < 3; count++) answers.push(await call(key))
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 402])
  const refused = answers[2]
  expect(JSON.parse(refused?.body.toString() ?? '')).toMatchObject({
    code: 'api-key-daily-budget-exhausted',
  })
  expect(refused?.headers['x-should-retry']).toBe('false')
})
