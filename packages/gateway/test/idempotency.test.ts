import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { createNoPayment } from '../src/payment/none.ts'
import type { RawResult } from '../../../test/provider/raw-client.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { createRequest, expectAdmitted, expectRefused } from './payment/requests.ts'
import { expectVerified } from './support/receipts.ts'
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

type Headers = Readonly<Record<string, string>>

let upstream: RecordingUpstream
const gateways = new Map<string, { readonly gateway: RunningGateway; readonly headers: Headers }>()
const keyFolder = createGatewayFolder()
const keysFile = join(keyFolder, 'data', 'api-keys.db')
const kinds = ['none', 'api-key'] as const

beforeAll(async () => {
  upstream = await startRecordingUpstream(() => undefined)
  const upstreams = [{ name: 'a', baseUrl: upstream.url, models: [{ id: 'm', priceAtomic: '7' }] }]
  gateways.set('none', { gateway: await startGateway({ config: { upstreams } }), headers: {} })
  const keyed = await startGateway({
    folder: keyFolder,
    config: { upstreams, payment: { apiKeys: { asset: 'credits' } } },
  })
  const store = openApiKeyStore(keysFile)
  const { secret } = store.create('test', 1_000_000n, 1)
  store.close()
  gateways.set('api-key', { gateway: keyed, headers: { authorization: `Bearer ${secret}` } })
})

afterAll(async () => {
  for (const { gateway } of gateways.values()) await disposeGateway(gateway)
  await upstream.stop()
})

beforeEach(() => {
  upstream.requests.length = 0
  upstream.answer = (response, _, index) => {
    answerChat(response, 'm', `answer ${index}`)
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

const whole = createChatBody({ model: 'm', stream: false })
const other = createChatBody({ model: 'm', stream: false, prompt: 'Something else?' })

async function call(
  kind: string,
  key: string,
  body: Buffer = whole,
  more: Headers = {},
): Promise<RawResult> {
  const setup = gateways.get(kind)
  if (setup === undefined) throw new Error(kind)
  const headers = { ...setup.headers, 'idempotency-key': key, ...more }
  return postChat(setup.gateway.url, body, { headers })
}

function codeOf({ body }: RawResult): unknown {
  const json: { readonly code?: unknown } = JSON.parse(body.toString())
  return json.code
}

test.each(kinds)(
  '%s: the same call again gets the same bytes and the same receipt',
  async (kind) => {
    const before = chargedAtomic()
    const key = randomUUID()
    const first = await call(kind, key)
    const again = await call(kind, key)
    expect([first.status, again.status]).toEqual([200, 200])
    expect(again.body.equals(first.body)).toBe(true)
    for (const name of ['x-receipt-id', 'x-receipt-token', 'x-receipt-statement']) {
      expect(again.headers[name]).toBe(first.headers[name])
    }
    await expectVerified(gateways.get(kind)?.gateway.url ?? '', again, whole)
    expect(upstream.requests).toHaveLength(1)
    expect(chargedAtomic() - before).toBe(kind === 'none' ? 0n : 7n)
  },
)

test.each(kinds)('%s: a stream again gets the same bytes', async (kind) => {
  upstream.answer = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.end('data: {"id":"c","model":"m","choices":[]}\n\ndata: [DONE]\n\n')
  }
  const key = randomUUID()
  const body = createChatBody({ model: 'm', stream: true })
  const first = await call(kind, key, body)
  const again = await call(kind, key, body)
  expect(again.body.equals(first.body)).toBe(true)
  expect(again.headers['x-receipt-id']).toBe(first.headers['x-receipt-id'])
  expect(upstream.requests).toHaveLength(1)
})

test.each(kinds)('%s: the same name with another body is refused', async (kind) => {
  const key = randomUUID()
  await call(kind, key)
  const refused = await call(kind, key, other)
  expect(refused.status).toBe(409)
  expect(codeOf(refused)).toBe('idempotency-key-reused')
  expect(refused.headers['x-should-retry']).toBe('false')
  expect(upstream.requests).toHaveLength(1)
})

test.each(kinds)('%s: a call that failed gives its name back', async (kind) => {
  const key = randomUUID()
  upstream.answer = (response) => {
    answerError(response, 500)
  }
  expect((await call(kind, key)).status).toBe(500)
  upstream.answer = (response) => {
    answerChat(response)
  }
  expect((await call(kind, key, other)).status).toBe(200)
})

test.each(kinds)(
  '%s: of calls of one name that race one is made, and all get its answer',
  async (kind) => {
    const before = chargedAtomic()
    for (let round = 0; round < 5; round++) {
      upstream.requests.length = 0
      const release = Promise.withResolvers<void>()
      upstream.answer = async (response) => {
        await release.promise
        answerChat(response, 'm', `round ${round}`)
      }
      const key = randomUUID()
      const codes = new Set<unknown>()
      const callUntilAnswered = async (): Promise<RawResult> => {
        for (;;) {
          const answer = await call(kind, key)
          if (answer.status === 200) return answer
          // The first is under way; nothing else is ever said to those who wait for it.
          expect([answer.status, answer.headers['retry-after']]).toEqual([409, '1'])
          codes.add(codeOf(answer))
          release.resolve()
        }
      }
      const answers = await Promise.all(Array.from({ length: 12 }, callUntilAnswered))
      expect([...codes]).toEqual(['idempotency-key-in-progress'])
      expect(upstream.requests).toHaveLength(1)
      expect(new Set(answers.map(({ headers }) => headers['x-receipt-id'])).size).toBe(1)
      expect(new Set(answers.map(({ body }) => body.toString())).size).toBe(1)
    }
    expect(chargedAtomic() - before).toBe(kind === 'none' ? 0n : 35n)
  },
)

test('callers without a payer need a name that nobody guesses', async () => {
  for (const key of ['1', 'my-request-1', 'a'.repeat(40), 'abcabcabcabcabcabcabcabcabc']) {
    const refused = await call('none', key)
    expect(refused.status).toBe(400)
    expect(codeOf(refused)).toBe('idempotency-key-guessable')
  }
  expect(upstream.requests).toEqual([])
  // Keys of one payer are nobody else's: any name will do.
  expect((await call('api-key', '1')).status).toBe(200)
})

test('callers with different credentials never get the answer of one another', async () => {
  const key = randomUUID()
  const answers = [
    await call('none', key),
    await call('none', key, whole, { authorization: 'Bearer one' }),
    await call('none', key, whole, { authorization: 'Bearer two' }),
    await call('none', key, whole, { 'x-api-key': 'one' }),
  ]
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
  expect(new Set(answers.map(({ headers }) => headers['x-receipt-id'])).size).toBe(4)
  expect(upstream.requests).toHaveLength(4)
})

test('free calls without a name are made each time', async () => {
  const setup = gateways.get('none')
  for (let count = 0; count < 2; count++) await postChat(setup?.gateway.url ?? '', whole)
  expect(upstream.requests).toHaveLength(2)
})

test('free names are remembered for ten minutes, and malformed ones are refused', async () => {
  const clock = { nowMs: 1_000_000 }
  const scheme = createNoPayment(() => clock.nowMs)
  const headers = { 'idempotency-key': randomUUID() }
  const first = createRequest(headers)
  const payment = expectAdmitted(await scheme.admit(first))
  expect(expectRefused(await scheme.admit(createRequest(headers))).code).toBe(
    'idempotency-key-in-progress',
  )
  await payment.complete('used')
  clock.nowMs += 599_999
  expect((await scheme.admit(createRequest(headers))).kind).toBe('replay')
  clock.nowMs += 1
  expectAdmitted(await scheme.admit(createRequest(headers)))
  for (const key of ['', 'a b', 'é'.repeat(30), 'x'.repeat(256)]) {
    const refusal = expectRefused(await scheme.admit(createRequest({ 'idempotency-key': key })))
    expect(refusal.code).toBe('request-malformed')
  }
})

function named(name: number): Headers {
  return { 'idempotency-key': `abcdefghijklmnop-${name}`.padEnd(24, 'z') }
}

test('so many free names are remembered, and none of a call under way is forgotten', async () => {
  const scheme = createNoPayment(() => 1_000_000)
  // As many as are looked at in one step, and more.
  for (let running = 0; running < 40; running++) {
    expectAdmitted(await scheme.admit(createRequest(named(100_000 + running))))
  }
  expectAdmitted(await scheme.admit(createRequest(named(0))))
  for (let name = 1; name < 21_000; name++) {
    await expectAdmitted(await scheme.admit(createRequest(named(name)))).complete('used')
  }
  const again = async (name: number): Promise<string> => {
    const admission = await scheme.admit(createRequest(named(name)))
    return admission.kind === 'refused' ? admission.refusal.code : admission.kind
  }
  for (const name of [0, 100_000, 100_039]) {
    expect(await again(name)).toBe('idempotency-key-in-progress')
  }
  expect(await again(20_999)).toBe('replay')
  expect(await again(2000)).toBe('replay')
  expect(await again(1)).toBe('admitted')
})
