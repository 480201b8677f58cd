import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { createChatBody, postChat, sha256Hex } from './support/chat-call.ts'
import { expectVerified } from './support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

let provider: TlsLoopbackProvider
let gateway: RunningGateway
/** Its time for a whole call is short. */
let hurried: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider()
  const { url: baseUrl, caFile } = provider
  const upstream = (name: string, timeouts: object, ids: readonly string[]): object => ({
    name,
    baseUrl,
    caFile,
    timeouts,
    models: ids.map((id) => ({ id, priceAtomic: '10000' })),
  })
  // Each time is short only where the provider lets it pass: a process that stands still is no other ending.
  gateway = await startGateway({
    config: {
      upstreams: [
        upstream('late', { firstByteMs: 300 }, ['hostile-stall-headers']),
        upstream('idle', { idleMs: 2000 }, ['hostile-stall']),
        upstream('loopback', {}, ['*']),
      ],
    },
  })
  hurried = await startGateway({ provider, limits: { totalTimeoutMs: 12_000 } })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await disposeGateway(hurried)
  await provider.stop()
})

beforeEach(async () => {
  await provider.reset()
})

/** How a call must end. `cut`: the body stops without its proper end. */
type Expected =
  | { readonly kind: 'complete' }
  | { readonly kind: 'cut'; readonly state: string; readonly error: string }
  | {
      readonly kind: 'own'
      readonly status: number
      readonly code: string
      readonly state: string
      readonly error: string
    }
  | { readonly kind: 'passed-on'; readonly status: number; readonly error: string }

const complete: Expected = { kind: 'complete' }
const failed = (error: string): Expected => ({
  kind: 'own',
  status: 502,
  code: 'upstream-failed',
  state: 'upstream-error',
  error,
})
const cut = (error: string, state = 'upstream-error'): Expected => ({ kind: 'cut', state, error })
const timeout = (error: string): Expected => ({
  kind: 'own',
  status: 504,
  code: 'upstream-timeout',
  state: 'timeout',
  error,
})

const endings: readonly (readonly [model: string, stream: Expected, json: Expected])[] = [
  ['hostile-reset', cut('reset'), failed('reset')],
  ['hostile-reset-before', failed('reset'), failed('reset')],
  ['hostile-eof', cut('stream-incomplete'), failed('body-malformed')],
  ['hostile-eof-mid', cut('stream-incomplete'), failed('body-malformed')],
  ['hostile-stall', cut('timeout', 'timeout'), timeout('timeout')],
  ['hostile-stall-headers', timeout('timeout'), timeout('timeout')],
  ['hostile-malformed-sse', cut('stream-incomplete'), cut('stream-incomplete')],
  [
    'hostile-error-in-stream',
    cut('error-in-stream'),
    { kind: 'passed-on', status: 200, error: 'error-in-body' },
  ],
  ['hostile-big-header', failed('answer-malformed'), failed('answer-malformed')],
  ['hostile-crlf-header', failed('answer-malformed'), failed('answer-malformed')],
  ['hostile-not-http', failed('answer-malformed'), failed('answer-malformed')],
  ['hostile-extra-response', complete, complete],
  ['hostile-gzip', failed('answer-malformed'), failed('body-encoded')],
  ['hostile-redirect', failed('status-302'), failed('status-302')],
  ['hostile-length-lie', cut('answer-malformed'), failed('answer-malformed')],
  ['hostile-json-truncated', failed('body-malformed'), failed('body-malformed')],
  ['hostile-204', failed('status-204'), failed('status-204')],
  ['hostile-304', failed('status-304'), failed('status-304')],
  ['hostile-model-swap', complete, complete],
  ['hostile-usage', complete, complete],
]

const cases = endings.flatMap(([model, stream, json]) => [
  { model, stream: true, expected: stream },
  { model, stream: false, expected: json },
])

test.each(cases)(
  'ends $model, stream $stream, as $expected.kind',
  async ({ model, stream, expected }) => {
    const body = createChatBody({ model, stream })
    const answer = await postChat(gateway.url, body)
    const { payload, claims } = await expectVerified(gateway.url, answer, body)
    expect(payload).toMatchObject({ type: 'receipt', charge: { scheme: 'none', amountAtomic: 0n } })
    expect(claims['price']).toMatchObject({ amount: '2710' })
    switch (expected.kind) {
      case 'complete':
        expect(answer).toMatchObject({ status: 200, failure: null })
        expect(claims).toMatchObject({
          outcome: { state: 'complete', error: null },
          response: { status: 200, transform: 'identity' },
        })
        break
      case 'cut':
        expect(answer.status).toBe(200)
        expect(answer.failure).not.toBeNull()
        expect(answer.trailers).toEqual({})
        expect(claims).toMatchObject({
          outcome: { state: expected.state, error: expected.error },
          response: { status: 200, transform: 'identity' },
        })
        break
      case 'own':
        expect(answer).toMatchObject({ status: expected.status, failure: null })
        expect(JSON.parse(answer.body.toString())).toMatchObject({
          status: expected.status,
          code: expected.code,
          error: { code: expected.code, type: 'api_error', param: null },
        })
        expect(claims).toMatchObject({
          outcome: { state: expected.state, error: expected.error },
          response: { status: expected.status, transform: 'gateway-error' },
        })
        break
      case 'passed-on':
        expect(answer).toMatchObject({ status: expected.status, failure: null })
        expect(claims).toMatchObject({
          outcome: { state: 'upstream-error', error: expected.error },
          response: { status: expected.status, transform: 'identity' },
        })
        break
      default:
        expect.unreachable()
    }
  },
)

test('passes errors of the provider on byte by byte, and signs them', async () => {
  for (const status of [400, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529]) {
    const body = createChatBody({ model: `hostile-status-${status}`, stream: true })
    const answer = await postChat(gateway.url, body)
    expect(answer).toMatchObject({ status, failure: null })
    const { claims, payload } = await expectVerified(gateway.url, answer, body)
    expect(payload.charge.amountAtomic).toBe(0n)
    expect(claims).toMatchObject({
      outcome: { state: 'upstream-error', error: `status-${status}` },
      response: { status, transform: 'identity' },
      'upstream-response': { status, sha256: sha256Hex(answer.body) },
    })
  }
  const log = await provider.log()
  expect(log).toHaveLength(11)
})

test('never shows the answer to a refused credential of the operator: it quotes the key', async () => {
  for (const status of [401, 403]) {
    const body = createChatBody({ model: `hostile-status-${status}`, stream: false })
    const answer = await postChat(gateway.url, body)
    expect(answer.status).toBe(502)
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'upstream-credentials' })
    expect(answer.body.toString()).not.toMatch(/Incorrect|\*\*\*/)
    const { claims } = await expectVerified(gateway.url, answer, body)
    expect(claims).toMatchObject({
      outcome: { state: 'upstream-error', error: `status-${status}` },
      'upstream-response': { status },
      response: { status: 502, transform: 'gateway-error' },
    })
  }
})

test('never follows a redirect', async () => {
  await postChat(gateway.url, createChatBody({ model: 'hostile-redirect', stream: false }))
  const log = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  expect(log.map(({ path }) => path)).toEqual(['/v1/chat/completions'])
})

test('gives no caller the second answer that a provider sent unasked', async () => {
  for (let round = 0; round < 3; round++) {
    const first = await postChat(
      gateway.url,
      createChatBody({ model: 'hostile-extra-response', stream: false }),
    )
    const body = createChatBody({ model: 'loopback-echo', stream: false, prompt: `round ${round}` })
    const second = await postChat(gateway.url, body)
    expect([first.status, second.status]).toEqual([200, 200])
    expect(first.body.toString()).not.toContain('smuggled')
    expect(second.body.toString()).toContain(`round ${round}`)
    await expectVerified(gateway.url, second, body)
  }
})

test('states a swapped model beside the one that was asked for', async () => {
  for (const stream of [true, false]) {
    const body = createChatBody({ model: 'hostile-model-swap', stream })
    const answer = await postChat(gateway.url, body)
    const { claims } = await expectVerified(gateway.url, answer, body)
    expect(claims['model']).toEqual({
      requested: 'hostile-model-swap',
      asserted: 'loopback-cheaper',
    })
  }
})

test('believes no impossible usage, and keeps it as it was reported', async () => {
  for (const stream of [true, false]) {
    const body = createChatBody({ model: 'hostile-usage', stream })
    const answer = await postChat(gateway.url, body)
    const { claims } = await expectVerified(gateway.url, answer, body)
    expect(claims['usage']).toEqual({
      input: null,
      output: null,
      raw: '{"prompt_tokens":-5,"completion_tokens":1e+300,"total_tokens":"12"}',
      source: 'provider',
    })
  }
})

const tooLong = [
  ['loopback-slow-2000', true, 200],
  ['loopback-slow-60000', false, 504],
  ['hostile-stall-headers', true, 504],
  ['hostile-stall', true, 200],
] as const

test('ends calls that take too long in all, whatever they wait for', async () => {
  const ends = tooLong.map(async ([model, stream, status]) => {
    const body = createChatBody({ model, stream })
    const answer = await postChat(hurried.url, body)
    expect(answer.status, model).toBe(status)
    if (status === 200) expect(answer.failure, model).not.toBeNull()
    const { claims } = await expectVerified(hurried.url, answer, body)
    expect(claims['outcome'], model).toMatchObject({ state: 'timeout', error: 'total-time' })
  })
  await Promise.all(ends)
  const log = await provider.log({ waitUntilIdleMs: 60_000, atLeast: tooLong.length })
  expect(log.map(({ end }) => end.kind)).toEqual(tooLong.map(() => 'aborted-by-client'))
})
