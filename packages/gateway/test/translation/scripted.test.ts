import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callRaw, type RawResult } from '../../../../test/provider/raw-client.ts'
import { startQueuedUpstream, type QueuedUpstream } from '../support/queued-upstream.ts'
import { expectVerified, type FetchedReceipt } from '../support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from '../support/start-gateway.ts'
import { translatedConfig } from '../support/translated-models.ts'

const pixel = 'iVBORw0KGgo='
const question = [{ role: 'user' as const, content: 'Why?' }]
const usage = { input_tokens: 7, output_tokens: 5, cache_read_input_tokens: 2 }
const stream = { type: 'text/event-stream' }
const schema = {
  type: 'object' as const,
  properties: { a: { type: 'string' } },
  required: ['a'],
  additionalProperties: false,
}

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

const claudeMessage = (content: readonly object[], more: object = {}): string =>
  JSON.stringify({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-sonnet-4-5-20250929',
    content,
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage,
    ...more,
  })

const chatMessage = (message: object, finish_reason = 'stop'): string =>
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'gpt-4.1-mini-2025-04-14',
    choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason }],
    usage: {
      prompt_tokens: 7,
      completion_tokens: 5,
      total_tokens: 12,
      prompt_tokens_details: { cached_tokens: 2 },
    },
  })

const geminiAnswer = (parts: readonly object[], more: object = {}): string =>
  JSON.stringify({
    candidates: [{ content: { role: 'model', parts }, finishReason: 'STOP', index: 0, ...more }],
    usageMetadata: {
      promptTokenCount: 7,
      candidatesTokenCount: 5,
      thoughtsTokenCount: 3,
      totalTokenCount: 15,
    },
    modelVersion: 'gemini-2.5-flash-001',
    responseId: 'r1',
  })

const events = (...payloads: readonly { readonly type: string }[]): readonly string[] =>
  payloads.map((payload) => `event: ${payload.type}\ndata: ${JSON.stringify(payload)}\n\n`)

const data = (...payloads: readonly (object | string)[]): readonly string[] =>
  payloads.map(
    (payload) => `data: ${typeof payload === 'string' ? payload : JSON.stringify(payload)}\n\n`,
  )

async function post(path: string, body: object, headers: object = {}): Promise<RawResult> {
  return callRaw({
    url: `${gateway.url}${path}`,
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}

function sent(): unknown {
  return JSON.parse(upstream.seen[0]?.body ?? '')
}

test('tools in parallel, results and pictures reach Claude as its own wire has them', async () => {
  upstream.queue(
    {
      body: claudeMessage(
        [
          { type: 'text', text: 'Both.' },
          { type: 'tool_use', id: 'toolu_1', name: 'w', input: { city: 'Ulm' } },
          { type: 'tool_use', id: 'toolu_2', name: 'w', input: { city: 'Bonn', n: 1.5 } },
        ],
        { stop_reason: 'tool_use' },
      ),
    },
    { body: claudeMessage([{ type: 'text', text: 'Rain.' }]) },
  )
  const tools = [
    {
      type: 'function' as const,
      function: { name: 'w', parameters: { type: 'object' }, strict: true },
    },
  ]
  const messages: ChatCompletionMessageParam[] = [
    { role: 'developer', content: 'Be brief.' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Look:' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${pixel}` } },
        { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
      ],
    },
  ]
  const request = { model: 'claude', tools, parallel_tool_calls: true, user: 'u1', stop: ['END'] }
  const first = await openai.chat.completions.create({ ...request, messages })
  expect(first.choices[0]).toMatchObject({
    finish_reason: 'tool_calls',
    message: {
      content: 'Both.',
      tool_calls: [
        { id: 'toolu_1', function: { name: 'w', arguments: '{"city":"Ulm"}' } },
        { id: 'toolu_2', function: { name: 'w', arguments: '{"city":"Bonn","n":1.5}' } },
      ],
    },
  })
  expect(first.usage).toMatchObject({
    prompt_tokens: 9,
    completion_tokens: 5,
    prompt_tokens_details: { cached_tokens: 2 },
  })
  const message = first.choices[0]?.message
  if (message === undefined) throw new Error('no message')
  messages.push(message)
  messages.push({ role: 'tool', tool_call_id: 'toolu_1', content: 'sun' })
  messages.push({
    role: 'tool',
    tool_call_id: 'toolu_2',
    content: [{ type: 'text', text: 'rain' }],
  })
  await openai.chat.completions.create({ ...request, messages, parallel_tool_calls: false })
  expect(upstream.seen.map(({ path }) => path)).toEqual(['/v1/messages', '/v1/messages'])
  expect(upstream.seen[1]?.headers).toMatchObject({ 'anthropic-version': '2023-06-01' })
  expect(JSON.parse(upstream.seen[1]?.body ?? '')).toEqual({
    model: 'claude-sonnet-4-5',
    max_tokens: 64_000,
    stop_sequences: ['END'],
    metadata: { user_id: 'u1' },
    system: [{ type: 'text', text: 'Be brief.' }],
    tools: [{ name: 'w', input_schema: { type: 'object' }, strict: true }],
    tool_choice: { type: 'auto', disable_parallel_tool_use: true },
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Look:' },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: pixel } },
          { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'Both.' },
          { type: 'tool_use', id: 'toolu_1', name: 'w', input: { city: 'Ulm' } },
          { type: 'tool_use', id: 'toolu_2', name: 'w', input: { city: 'Bonn', n: 1.5 } },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'toolu_1', content: 'sun' },
          { type: 'tool_result', tool_use_id: 'toolu_2', content: 'rain' },
        ],
      },
    ],
  })
})

test('signed calls of Gemini and thoughts of Claude come back as they went out', async () => {
  const call = { functionCall: { name: 'w', args: { city: 'Ulm' } }, thoughtSignature: 'c2ln' }
  upstream.queue({ body: geminiAnswer([call]) }, { body: geminiAnswer([{ text: 'Sun.' }]) })
  const tools = [
    { type: 'function' as const, function: { name: 'w', parameters: { type: 'object' } } },
  ]
  const first = await openai.chat.completions.create({ model: 'gemini', messages: question, tools })
  const message = first.choices[0]?.message
  const id = message?.tool_calls?.[0]?.id ?? ''
  expect(id).toMatch(/^call_[0-9a-f]{24}$/)
  expect(first.usage).toMatchObject({
    completion_tokens: 8,
    completion_tokens_details: { reasoning_tokens: 3 },
  })
  if (message === undefined) throw new Error('no message')
  const messages = [
    ...question,
    message,
    { role: 'tool' as const, tool_call_id: id, content: 'sun' },
  ]
  await openai.chat.completions.create({ model: 'gemini', messages, tools })
  expect(JSON.parse(upstream.seen[1]?.body ?? '')).toMatchObject({
    contents: [
      { role: 'user' },
      { role: 'model', parts: [{ ...call, functionCall: { ...call.functionCall, id } }] },
      {
        role: 'user',
        parts: [{ functionResponse: { id, name: 'w', response: { content: 'sun' } } }],
      },
    ],
  })
  const thinking = { type: 'thinking', thinking: 'Hm.', signature: 'c2ln' }
  upstream.queue(
    { body: claudeMessage([thinking, { type: 'text', text: 'So.' }]) },
    { body: claudeMessage([{ type: 'text', text: 'Yes.' }]) },
  )
  const thought = await openai.chat.completions.create({ model: 'claude', messages: question })
  expect(thought.choices[0]?.message).toMatchObject({ content: 'So.', reasoning_content: 'Hm.' })
  const said = thought.choices[0]?.message
  if (said === undefined) throw new Error('no message')
  await openai.chat.completions.create({
    model: 'claude',
    messages: [...question, said, ...question],
  })
  expect(JSON.parse(upstream.seen[1]?.body ?? '')).toMatchObject({
    messages: [{}, { content: [thinking, { type: 'text', text: 'So.' }] }, {}],
  })
})

test('parallel calls of OpenAI stream to the client of Anthropic', async () => {
  const delta = (value: object, finish_reason: string | null = null): object => ({
    id: 'chatcmpl-1',
    model: 'gpt-4.1-mini',
    choices: [{ index: 0, delta: value, finish_reason }],
  })
  const start = (index: number, id: string): object =>
    delta({ tool_calls: [{ index, id, type: 'function', function: { name: 'w', arguments: '' } }] })
  const more = (index: number, text: string): object =>
    delta({ tool_calls: [{ index, function: { arguments: text } }] })
  upstream.queue({
    ...stream,
    body: data(
      delta({ role: 'assistant', content: 'Both.' }),
      start(0, 'call_a'),
      more(0, '{"city":'),
      more(0, '"Ulm"}'),
      start(1, 'call_b'),
      more(1, '{}'),
      delta({}, 'tool_calls'),
      { choices: [], usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 } },
      '[DONE]',
    ),
  })
  const final = await anthropic.messages
    .stream({
      model: 'gpt',
      max_tokens: 50,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Look:' },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: pixel } },
          ],
        },
      ],
      metadata: { user_id: 'u1' },
      tools: [{ name: 'w', input_schema: { type: 'object' } }],
      tool_choice: { type: 'auto', disable_parallel_tool_use: true },
    })
    .finalMessage()
  expect(final).toMatchObject({
    content: [
      { type: 'text', text: 'Both.' },
      { type: 'tool_use', id: 'call_a', name: 'w', input: { city: 'Ulm' } },
      { type: 'tool_use', id: 'call_b', name: 'w', input: {} },
    ],
    stop_reason: 'tool_use',
    usage: { input_tokens: 7, output_tokens: 5 },
  })
  expect(sent()).toEqual({
    model: 'gpt-4.1-mini',
    user: 'u1',
    max_tokens: 50,
    parallel_tool_calls: false,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Look:' },
          { type: 'image_url', image_url: { url: `data:image/png;base64,${pixel}` } },
        ],
      },
    ],
    tools: [{ type: 'function', function: { name: 'w', parameters: { type: 'object' } } }],
    tool_choice: 'auto',
    stream: true,
    stream_options: { include_usage: true },
  })
})

test('an answer in a JSON schema is asked for on every wire', async () => {
  const format = { type: 'json_schema' as const, json_schema: { name: 'a', strict: true, schema } }
  upstream.queue(
    { body: claudeMessage([{ type: 'text', text: '{"a":"b"}' }]) },
    { body: geminiAnswer([{ text: '{"a":"b"}' }]) },
    { body: chatMessage({ content: '{"a":"b"}' }) },
  )
  for (const model of ['claude', 'gemini']) {
    const chat = await openai.chat.completions.create({
      model,
      messages: question,
      response_format: format,
    })
    expect(JSON.parse(chat.choices[0]?.message.content ?? '')).toEqual({ a: 'b' })
  }
  const message = await post('/v1/messages', {
    model: 'gpt',
    max_tokens: 9,
    messages: question,
    output_config: { format: { type: 'json_schema', schema } },
  })
  expect(message.status, message.body.toString()).toBe(200)
  const bodies = upstream.seen.map(({ body }): unknown => JSON.parse(body))
  expect(bodies).toMatchObject([
    { output_config: { format: { type: 'json_schema', schema } } },
    { generationConfig: { responseMimeType: 'application/json', responseJsonSchema: schema } },
    { response_format: { type: 'json_schema', json_schema: { schema, strict: true } } },
  ])
})

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
      usage,
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
  upstream.queue(
    { body: geminiAnswer([{ inlineData: { mimeType: 'image/png', data: pixel } }]) },
    { body: geminiAnswer([{ text: 'x' }], { finishReason: 'MALFORMED_FUNCTION_CALL' }) },
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
  await expectUntranslatable('/v1/chat/completions', chat)
  await expectUntranslatable('/v1/chat/completions', chat)
  const request = { model: 'gpt', max_tokens: 9, messages: question }
  for (let count = 0; count < 3; count++) await expectUntranslatable('/v1/messages', request)
})

test('a stream that cannot be said stops with an error where it cannot', async () => {
  const [first = '', ...others] = data(
    JSON.parse(geminiAnswer([{ text: 'See: ' }], { finishReason: undefined })),
    JSON.parse(geminiAnswer([{ inlineData: { mimeType: 'image/png', data: pixel } }])),
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

test('a stream that breaks off is cut where it broke', async () => {
  const begin = JSON.parse(geminiAnswer([{ text: 'See' }], { finishReason: undefined })) as object
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
