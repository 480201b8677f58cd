/** A caller who leaves between the end of an answer and its figures (spec/metering.md ME9.8). */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callRaw } from '../../../test/provider/raw-client.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { beginStream, events } from './support/chat-events.ts'
import { createKey } from './support/create-key.ts'
import { expectVerified, type FetchedReceipt } from './support/receipts.ts'
import { startRecordingUpstream, type RecordingUpstream } from './support/recording-upstream.ts'
import {
  createGatewayFolder,
  disposeGateway,
  startGateway,
  type RunningGateway,
} from './support/start-gateway.ts'

let upstream: RecordingUpstream
let gateway: RunningGateway
let headers: Readonly<Record<string, string>>

beforeAll(async () => {
  upstream = await startRecordingUpstream(() => undefined)
  const folder = createGatewayFolder()
  gateway = await startGateway({
    folder,
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [{ name: 'a', baseUrl: upstream.url, addUsage: false }],
      models: [
        {
          name: 'aborted',
          upstream: 'a',
          provider: 'openai',
          price: { perCallAtomic: '1', perMillionAtomic: { input: '1000000', output: '1000000' } },
          limits: { contextTokens: 5000, maxOutputTokens: 1000 },
        },
      ],
    },
  })
  headers = createKey(join(folder, 'data', 'api-keys.db'))
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
})

/** Streams `before`, then what is left once the caller has left. */
async function leaveBehind(
  before: string,
  after: string,
  { path = '/v1/chat/completions', ...more }: { readonly path?: string; readonly n?: number } = {},
): Promise<FetchedReceipt> {
  const left = Promise.withResolvers<void>()
  upstream.answer = async (response) => {
    beginStream(response)
    response.write(before)
    await left.promise
    response.end(after)
  }
  const plain: unknown = JSON.parse(createChatBody({ model: 'aborted', stream: true }).toString())
  const body = JSON.stringify({ ...Object(plain), ...more })
  const answer = await postChat(gateway.url, body, {
    url: `${gateway.url}${path}`,
    headers,
    leaveWhen: (bytesSoFar) => bytesSoFar >= Buffer.byteLength(before),
  })
  // The end of that connection came before this request.
  expect((await callRaw({ url: `${gateway.url}/healthz` })).status).toBe(200)
  left.resolve()
  const response = { response: Buffer.from(before), responseIsPrefix: true }
  return expectVerified(gateway.url, answer, body, response)
}

const finished = `data: ${JSON.stringify({
  id: 'c',
  model: 'm',
  choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
})}\n\n`

test('waits for the figures of an answer that its model has finished, whatever the route says', async () => {
  const before = `${events.slice(0, 3).join('')}${finished}`
  const receipt = await leaveBehind(before, events.slice(3).join(''))
  expect(receipt.claims).toMatchObject({
    outcome: { state: 'aborted-by-client', finish: 'stop' },
    drain: { end: 'complete' },
    response: { bytes: before.length },
    metering: { source: 'provider', counts: { input: 40, output: 60 } },
  })
  expect(receipt.payload.charge.amountAtomic).toBe(101n)
  // Where none come, what was visible is charged, as without the last event.
  const uncounted = await leaveBehind(before, 'data: [DONE]\n\n')
  const earlier = await leaveBehind(events.slice(0, 3).join(''), '')
  for (const { claims } of [uncounted, earlier]) {
    expect(claims['metering']).toMatchObject({ source: 'estimated' })
  }
  const { amountAtomic } = uncounted.payload.charge
  expect(amountAtomic).toBe(earlier.payload.charge.amountAtomic)
  expect(amountAtomic).toBeLessThan(101n)
})

test('does not take one of several answers for all of them', async () => {
  const before = `${events.slice(0, 3).join('')}${finished}`
  const { claims, payload } = await leaveBehind(before, events.slice(3).join(''), { n: 2 })
  expect(claims).toMatchObject({
    outcome: { state: 'aborted-by-client', finish: 'stop' },
    metering: { source: 'estimated' },
  })
  expect(claims['drain']).toBeUndefined()
  expect(payload.charge.amountAtomic).toBeLessThan(101n)
})

const event = (type: string, more: object): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`

test('does not take a response that has begun for one that has finished', async () => {
  const response = { id: 'resp_1', model: 'm', status: 'in_progress', output: [], usage: null }
  const delta = { output_index: 0, delta: 'one two three' }
  const before = `${event('response.created', { response })}${event('response.output_text.delta', delta)}`
  const usage = { input_tokens: 40, output_tokens: 60, total_tokens: 100 }
  const end = event('response.completed', {
    response: { ...response, status: 'completed', usage },
  })
  const receipt = await leaveBehind(before, end, { path: '/v1/responses' })
  expect(receipt.claims).toMatchObject({
    outcome: { state: 'aborted-by-client', finish: null },
    metering: { source: 'estimated' },
  })
  expect(receipt.claims['drain']).toBeUndefined()
  expect(receipt.payload.charge.amountAtomic).toBeLessThan(101n)
})
