import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callRaw, type RawResult } from '../../../../test/provider/raw-client.ts'
import {
  chatMessage,
  claudeMessage,
  data,
  events,
  geminiAnswer,
  pixel,
} from '../support/provider-answers.ts'
import { startQueuedUpstream, type QueuedUpstream } from '../support/queued-upstream.ts'
import { expectVerified, type FetchedReceipt } from '../support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from '../support/start-gateway.ts'
import { translatedConfig } from '../support/translated-models.ts'

const question = [{ role: 'user' as const, content: 'Why?' }]
const stream = { type: 'text/event-stream' }
let upstream: QueuedUpstream
let gateway: RunningGateway
let openai: OpenAI
let anthropic: Anthropic

beforeAll(async () => {
  upstream = await startQueuedUpstream()
  gateway = await startGateway({ config: translatedConfig(upstream.origin) })
  openai = new OpenAI({ apiKey: 'placeholder', baseURL: `${gateway.url}/v1`, maxRetries: 0 })
  anthropic = new Anthropic({ apiKey: 'placeholder', baseURL: gateway.url, maxRetries: 0 })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
})

async function post(path: string, body: object, headers: object = {}): Promise<RawResult> {
  return callRaw({
    url: `${gateway.url}${path}`,
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}

test.each([
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  ['max_tokens', 'length'],
  ['refusal', 'content_filter'],
  ['tool_use', 'tool_calls'],
])('Claude stops with %s, which is %s', async (stop_reason, expected) => {
  upstream.queue({ body: claudeMessage([{ type: 'text', text: 'x' }], { stop_reason }) })
  const chat = await openai.chat.completions.create({ model: 'claude', messages: question })
  expect(chat.choices[0]?.finish_reason).toBe(expected)
})

test.each([
  ['STOP', 'stop'],
  ['MAX_TOKENS', 'length'],
  ['SAFETY', 'content_filter'],
])('Gemini stops with %s, which is %s', async (finishReason, expected) => {
  upstream.queue({ body: geminiAnswer([{ text: 'x' }], { finishReason }) })
  const chat = await openai.chat.completions.create({ model: 'gemini', messages: question })
  expect(chat.choices[0]?.finish_reason).toBe(expected)
})

test.each([
  [{ content: 'x' }, 'stop', 'end_turn'],
  [{ content: 'x' }, 'length', 'max_tokens'],
  [{ content: null, refusal: 'No.' }, 'stop', 'refusal'],
  [{ content: 'x' }, 'content_filter', 'refusal'],
])('OpenAI answers %j with %s, which is %s', async (message, reason, expected) => {
  upstream.queue({ body: chatMessage(message, reason) })
  const answer = await anthropic.messages.create({
    model: 'gpt',
    max_tokens: 9,
    messages: question,
  })
  expect(answer.stop_reason).toBe(expected)
  expect(answer.content).toMatchObject([{ type: 'text' }])
  expect(answer.usage).toMatchObject({
    input_tokens: 5,
    cache_read_input_tokens: 2,
    output_tokens: 5,
  })
})

const anthropicError = { type: 'error', error: { type: 'rate_limit_error', message: 'Slow down.' } }
const googleError = { error: { code: 400, message: 'Bad schema.', status: 'INVALID_ARGUMENT' } }
const openaiError = {
  error: { message: 'No.', type: 'invalid_request_error', param: null, code: 'x' },
}

test.each([
  [
    'claude',
    '/v1/chat/completions',
    429,
    anthropicError,
    { error: { message: 'Slow down.', code: 'rate_limit_error' } },
  ],
  [
    'gemini',
    '/v1/chat/completions',
    400,
    googleError,
    { error: { message: 'Bad schema.', code: 'INVALID_ARGUMENT' } },
  ],
  [
    'gpt',
    '/v1/messages',
    400,
    openaiError,
    { type: 'error', error: { type: 'invalid_request_error', message: 'No.' } },
  ],
  ['gpt', '/v1/messages', 529, { odd: 1 }, { type: 'error', error: { type: 'overloaded_error' } }],
])('an error of %s is one of the caller’s wire', async (model, path, status, body, expected) => {
  upstream.queue({ status, headers: { 'retry-after': '7' }, body: JSON.stringify(body) })
  const request = { model, max_tokens: 9, messages: question }
  const answer = await post(path, request)
  expect(answer.status).toBe(status)
  expect(answer.headers['retry-after']).toBe('7')
  expect(JSON.parse(answer.body.toString())).toMatchObject(expected)
  const { claims, payload } = await expectVerified(gateway.url, answer, JSON.stringify(request))
  expect(claims).toMatchObject({ outcome: { state: 'upstream-error', error: `status-${status}` } })
  expect(payload.charge.amountAtomic).toBe(0n)
})

test('an error within a stream is one of the caller’s wire, and costs nothing', async () => {
  const begin = {
    type: 'message_start',
    message: {
      id: 'm',
      type: 'message',
      role: 'assistant',
      model: 'c',
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 7, output_tokens: 0 },
    },
  }
  const failure = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }
  for (const payloads of [[failure], [begin, failure]]) {
    upstream.queue({ ...stream, body: events(...payloads) })
    const request = { model: 'claude', stream: true, messages: question }
    const answer = await post('/v1/chat/completions', request)
    expect(answer.body.toString()).toContain(
      '"error":{"type":"overloaded_error","message":"Overloaded"',
    )
    expect(answer.failure).not.toBeNull()
    const { claims, payload } = await expectVerified(gateway.url, answer, JSON.stringify(request))
    expect(claims).toMatchObject({ outcome: { state: 'upstream-error', error: 'error-in-stream' } })
    expect(payload.charge.amountAtomic).toBe(0n)
  }
})

async function expectUntranslatable(path: string, request: object): Promise<FetchedReceipt> {
  const answer = await post(path, request)
  const receipt = await expectVerified(gateway.url, answer, JSON.stringify(request))
  expect(receipt.claims['outcome']).toMatchObject({
    state: 'upstream-error',
    error: 'answer-not-translatable',
  })
  expect(receipt.payload.charge.amountAtomic).toBe(0n)
  // Or the answer that is not charged could be had there.
  const { headers } = answer
  const kept = await callRaw({
    url: `${gateway.url}/v1/receipts/${String(headers['x-receipt-id'])}/upstream-response`,
    headers: { authorization: `Bearer ${String(headers['x-receipt-token'])}` },
  })
  expect(kept.status).toBe(404)
  return receipt
}

test.each([
  [claudeMessage([{ type: 'redacted_thinking', data: 'x' }])],
  [claudeMessage([{ type: 'server_tool_use', id: 's', name: 'web_search', input: {} }])],
  [claudeMessage([{ type: 'text', text: 'x', citations: [{ type: 'char_location' }] }])],
  [claudeMessage([{ type: 'text', text: 'x' }], { stop_reason: 'pause_turn' })],
  [claudeMessage([{ type: 'tool_use', id: 't', name: 'w', input: { n: 1e300 } }])],
  [
    claudeMessage([
      { type: 'text', text: 'x' },
      { type: 'thinking', thinking: 'y', signature: 'z' },
    ]),
  ],
])('an answer that the caller’s wire cannot say ends in an error: %s', async (body) => {
  upstream.queue({ body })
  const { claims } = await expectUntranslatable('/v1/chat/completions', {
    model: 'claude',
    messages: question,
  })
  expect(claims['response']).toMatchObject({ status: 502, transform: 'gateway-error' })
})

test('so does one of the others', async () => {
  expect.hasAssertions()
  upstream.queue(
    { body: geminiAnswer([{ inlineData: { mimeType: 'image/png', data: pixel } }]) },
    { body: geminiAnswer([{ text: 'x' }], { finishReason: 'MALFORMED_FUNCTION_CALL' }) },
    {
      body: geminiAnswer([{ text: 'x' }], {
        citationMetadata: { citationSources: [{ uri: 'https://a.example' }] },
      }),
    },
    {
      body: chatMessage({
        content: null,
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'w', arguments: '{"a":' } }],
      }),
    },
    { body: chatMessage({ content: null, audio: { id: 'a' } }) },
    { body: chatMessage({ content: 'x', annotations: [{ type: 'url_citation' }] }) },
  )
  const chat = { model: 'gemini', messages: question }
  for (let count = 0; count < 3; count++) await expectUntranslatable('/v1/chat/completions', chat)
  const request = { model: 'gpt', max_tokens: 9, messages: question }
  for (let count = 0; count < 3; count++) await expectUntranslatable('/v1/messages', request)
})

test('a stream that cannot be said stops with an error where it cannot', async () => {
  const [first = '', ...others] = data(
    geminiAnswer([{ text: 'See: ' }], { finishReason: undefined }),
    geminiAnswer([{ inlineData: { mimeType: 'image/png', data: pixel } }]),
  )
  upstream.queue({ ...stream, body: [first, ...others] })
  const request = { model: 'gemini', stream: true, messages: question }
  const answer = await post('/v1/chat/completions', request)
  expect(answer.body.toString()).toContain('"content":"See: "')
  expect(answer.body.toString()).toContain('"code":"answer_not_translatable"')
  expect(answer.body.toString()).not.toContain('[DONE]')
  expect(answer.failure).not.toBeNull()
  const { claims } = await expectVerified(gateway.url, answer, JSON.stringify(request))
  expect(claims['outcome']).toMatchObject({ error: 'answer-not-translatable' })
})

test('a stream where none was asked for is no answer, and none where one was', async () => {
  upstream.queue(
    { body: claudeMessage([{ type: 'text', text: 'x' }]) },
    { ...stream, body: events({ type: 'message_stop' }) },
  )
  for (const isStream of [true, false]) {
    const request = { model: 'claude', stream: isStream, messages: question }
    const answer = await post('/v1/chat/completions', request)
    expect(answer.status).toBe(502)
    const { claims } = await expectVerified(gateway.url, answer, JSON.stringify(request))
    expect(claims).toMatchObject({
      outcome: { state: 'upstream-error', error: 'answer-malformed' },
      response: { transform: 'gateway-error' },
    })
  }
})

test('a page of an upstream in the way is an error of the caller’s wire', async () => {
  upstream.queue({ status: 503, type: 'text/html', body: '<h1>Busy</h1>' })
  const answer = await post('/v1/chat/completions', { model: 'claude', messages: question })
  expect(answer.status).toBe(503)
  expect(answer.headers['content-type']).toBe('application/json')
  expect(JSON.parse(answer.body.toString())).toEqual({
    error: {
      message: 'The provider answered with status 503.',
      type: 'server_error',
      param: null,
      code: null,
    },
  })
})

test('a stream that breaks off is cut where it broke', async () => {
  const begin = geminiAnswer([{ text: 'See' }], { finishReason: undefined })
  upstream.queue({ ...stream, body: data(begin), isCut: true })
  const request = { model: 'gemini', stream: true, messages: question }
  const answer = await post('/v1/chat/completions', request)
  expect(answer.body.toString()).toContain('"content":"See"')
  expect(answer.body.toString()).not.toContain('[DONE]')
  expect(answer.failure).not.toBeNull()
  const { claims } = await expectVerified(gateway.url, answer, JSON.stringify(request))
  expect(claims['outcome']).toMatchObject({ state: 'upstream-error', error: 'reset' })
})

test('headers and queries that belong to the caller’s wire are refused by name', async () => {
  upstream.queue()
  const chat = { model: 'claude', messages: question }
  const beta = await post('/v1/chat/completions', chat, { 'openai-beta': 'x=v1' })
  expect(beta.status).toBe(400)
  expect(beta.body.toString()).toContain('header openai-beta')
  const request = { model: 'gpt', max_tokens: 9, messages: question }
  const query = await post('/v1/messages?beta=true', request)
  expect(query.status).toBe(400)
  expect(query.body.toString()).toContain('request-not-translatable')
  const counted = await post('/v1/messages/count_tokens', request)
  expect(counted.status).toBe(404)
  expect(upstream.seen).toEqual([])
})
