import { afterAll, beforeAll, expect, test } from 'vitest'
import { createUpstreamRest, putRestingLast } from '../src/upstream/upstream-rest.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { expectVerified } from './support/receipts.ts'
import {
  answerChat,
  answerError,
  startRecordingUpstream,
  type RecordingUpstream,
} from './support/recording-upstream.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

const serve: RecordingUpstream['answer'] = (response) => {
  answerChat(response)
}
const fail: RecordingUpstream['answer'] = (response) => {
  answerError(response, 503)
}

let a: RecordingUpstream
let b: RecordingUpstream
let gateway: RunningGateway

beforeAll(async () => {
  a = await startRecordingUpstream(serve)
  b = await startRecordingUpstream(serve)
  const models = ['long', 'short'].map((name) => ({
    name,
    upstream: name,
    provider: 'openai',
    price: { perCallAtomic: '7' },
    routes: [{ upstream: 'b', weight: 0 }],
  }))
  gateway = await startGateway({
    config: {
      upstreams: [
        { name: 'long', baseUrl: a.url, restMs: 60_000 },
        { name: 'short', baseUrl: a.url, restMs: 1 },
        { name: 'b', baseUrl: b.url },
      ],
      models,
    },
  })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await a.stop()
  await b.stop()
})

/** The claim `attempts` of one call, and how often each upstream was asked. */
async function call(model: string): Promise<readonly [unknown, number, number]> {
  a.requests.length = 0
  b.requests.length = 0
  const body = createChatBody({ model, stream: false })
  const answer = await postChat(gateway.url, body)
  const { claims } = await expectVerified(gateway.url, answer, body)
  return [claims['attempts'], a.requests.length, b.requests.length]
}

test('an upstream that failed is asked last until its rest is over, and never left out', async () => {
  a.answer = fail
  b.answer = serve
  const failed = [{ upstream: 'long', error: 'status-503' }]
  expect(await call('long')).toEqual([{ upstream: 'b', count: 2, failed }, 1, 1])
  // It would answer again, and is not asked.
  a.answer = serve
  expect(await call('long')).toEqual([{ upstream: 'b', count: 1, failed: [] }, 0, 1])
  b.answer = fail
  const failedThere = [{ upstream: 'b', error: 'status-503' }]
  expect(await call('long')).toEqual([{ upstream: 'long', count: 2, failed: failedThere }, 1, 1])
})

test('after its rest it is asked first again', async () => {
  a.answer = fail
  b.answer = serve
  expect(await call('short')).toMatchObject([{ upstream: 'b', count: 2 }, 1, 1])
  a.answer = serve
  expect(await call('short')).toMatchObject([{ upstream: 'short', count: 1 }, 1, 0])
})

test('a rest has its length, also when the clock is set back, and none without one', () => {
  const rest = createUpstreamRest(100)
  expect(rest.isResting(0)).toBe(false)
  rest.failed(1000)
  expect([899, 999, 1000, 1099, 1100].map((nowMs) => rest.isResting(nowMs))).toEqual([
    false,
    false,
    true,
    true,
    false,
  ])
  const none = createUpstreamRest(0)
  none.failed(1000)
  expect(none.isResting(1000)).toBe(false)
  const resting = { name: 'x', upstream: { rest } }
  const awake = ['y', 'z'].map((name) => ({ name, upstream: { rest: none } }))
  const [y, z] = awake
  if (y === undefined || z === undefined) throw new Error('awake')
  expect(putRestingLast([y, resting, z], 1050)).toEqual([y, z, resting])
  expect(putRestingLast([y, resting, z], 1200)).toEqual([y, resting, z])
  expect(putRestingLast([resting], 1050)).toEqual([resting])
})
