import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../../test/provider/start.ts'
import { callRaw } from '../../../../test/provider/raw-client.ts'
import { expectVerified, fetchReceipt } from '../support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from '../support/start-gateway.ts'
import { translatedConfig, translatedModels } from '../support/translated-models.ts'

const question = 'Why?'
const answerText = 'This is the loopback provider: no model ran. You asked: Why?'
const messages = [{ role: 'user' as const, content: question }]
const chatModels = ['claude', 'gemini'] as const

let provider: TlsLoopbackProvider
let gateway: RunningGateway
let openai: OpenAI
let anthropic: Anthropic

beforeAll(async () => {
  provider = await startLoopbackProvider({ models: Object.values(translatedModels) })
  const origin = new URL(provider.url).origin
  gateway = await startGateway({ config: translatedConfig(origin, provider.caFile) })
  openai = new OpenAI({ apiKey: 'placeholder', baseURL: `${gateway.url}/v1`, maxRetries: 0 })
  anthropic = new Anthropic({ apiKey: 'placeholder', baseURL: gateway.url, maxRetries: 0 })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

test.each(chatModels)('the client of OpenAI reads %s, whole', async (model) => {
  const chat = await openai.chat.completions.create({ model, messages })
  expect(chat).toMatchObject({
    object: 'chat.completion',
    model: translatedModels[model],
    choices: [
      {
        index: 0,
        finish_reason: 'stop',
        message: { role: 'assistant', content: answerText, refusal: null },
      },
    ],
  })
  const { usage } = chat
  expect(usage?.prompt_tokens).toBeGreaterThan(0)
  expect(usage?.total_tokens).toBe((usage?.prompt_tokens ?? 0) + (usage?.completion_tokens ?? 0))
})

test.each(chatModels)('the client of OpenAI reads %s, streamed', async (model) => {
  const stream = openai.chat.completions.stream({
    model,
    messages,
    stream_options: { include_usage: true },
  })
  const deltas: string[] = []
  stream.on('content', (delta) => deltas.push(delta))
  const final = await stream.finalChatCompletion()
  expect(deltas.join('')).toBe(answerText)
  expect(deltas.length).toBeGreaterThan(3)
  expect(final.choices[0]).toMatchObject({
    finish_reason: 'stop',
    message: { content: answerText },
  })
  expect(final.usage?.completion_tokens).toBeGreaterThan(0)
})

test.each(chatModels)(
  'a tool of the client of OpenAI is called by %s, and answered',
  async (model) => {
    const tools = [
      {
        type: 'function' as const,
        function: {
          name: 'weather',
          description: 'Of now',
          parameters: { type: 'object', properties: {} },
        },
      },
    ]
    const asked = [{ role: 'system' as const, content: 'Be brief.' }, ...messages]
    const called = await openai.chat.completions.create({
      model,
      messages: asked,
      tools,
      tool_choice: 'required',
    })
    const [choice] = called.choices
    expect(choice?.finish_reason).toBe('tool_calls')
    const [call] = choice?.message.tool_calls ?? []
    expect(call).toMatchObject({ type: 'function', function: { name: 'weather', arguments: '{}' } })
    if (choice === undefined) throw new Error('no choice')
    const answered = await openai.chat.completions.create({
      model,
      messages: [
        ...asked,
        choice.message,
        { role: 'tool', tool_call_id: call?.id ?? '', content: 'Sunny' },
        { role: 'user', content: 'And?' },
      ],
      tools,
    })
    expect(answered.choices[0]?.message.content).toContain('You asked: And?')
    const streamed = openai.chat.completions.stream({
      model,
      messages,
      tools,
      tool_choice: 'required',
    })
    const final = await streamed.finalChatCompletion()
    expect(final.choices[0]?.message.tool_calls).toMatchObject([
      { type: 'function', function: { name: 'weather', arguments: '{}' } },
    ])
    expect(final.choices[0]?.finish_reason).toBe('tool_calls')
  },
)

test('the client of Anthropic reads a model of OpenAI, whole and streamed', async () => {
  const request = { model: 'gpt', max_tokens: 100, messages }
  const whole = await anthropic.messages.create(request)
  expect(whole).toMatchObject({
    type: 'message',
    role: 'assistant',
    model: translatedModels.gpt,
    content: [{ type: 'text', text: answerText }],
    stop_reason: 'end_turn',
    stop_sequence: null,
  })
  expect(whole.usage.input_tokens).toBeGreaterThan(0)
  const stream = anthropic.messages.stream(request)
  const deltas: string[] = []
  stream.on('text', (delta) => deltas.push(delta))
  const final = await stream.finalMessage()
  expect(deltas.join('')).toBe(answerText)
  expect(deltas.length).toBeGreaterThan(3)
  expect(final.content).toMatchObject([{ type: 'text', text: answerText }])
  expect(final.usage).toMatchObject({
    input_tokens: whole.usage.input_tokens,
    output_tokens: whole.usage.output_tokens,
  })
  expect(final.stop_reason).toBe('end_turn')
})

test('a tool of the client of Anthropic is called by a model of OpenAI, and answered', async () => {
  const tools = [
    {
      name: 'weather',
      input_schema: {
        type: 'object' as const,
        properties: { city: { type: 'string' } },
        required: ['city'],
      },
    },
  ]
  const request = { model: 'gpt', max_tokens: 100, messages, tools, system: 'Be brief.' }
  const called = await anthropic.messages.create({ ...request, tool_choice: { type: 'any' } })
  expect(called.stop_reason).toBe('tool_use')
  const [call] = called.content
  expect(call).toMatchObject({ type: 'tool_use', name: 'weather', input: { city: 'Why?' } })
  const id = call?.type === 'tool_use' ? call.id : ''
  const answered = await anthropic.messages.create({
    ...request,
    messages: [
      ...messages,
      { role: 'assistant', content: called.content },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: id, content: 'Sunny' },
          { type: 'text', text: 'And?' },
        ],
      },
    ],
  })
  expect(answered.content).toMatchObject([{ text: expect.stringContaining('You asked: And?') }])
  const stream = anthropic.messages.stream({ ...request, tool_choice: { type: 'any' } })
  const final = await stream.finalMessage()
  expect(final.content).toMatchObject([
    { type: 'tool_use', name: 'weather', input: { city: 'Why?' } },
  ])
  expect(final.stop_reason).toBe('tool_use')
})

test('errors of the other provider are shown as errors of the own one', async () => {
  const refused = openai.chat.completions.create({ model: 'claude', messages, seed: 1 })
  await expect(refused).rejects.toMatchObject({
    status: 400,
    code: 'request-not-translatable',
    message: expect.stringContaining('"seed"'),
  })
  const other = anthropic.messages.create({
    model: 'gpt',
    max_tokens: 1,
    messages,
    stop_sequences: ['x'],
  })
  await expect(other).rejects.toMatchObject({
    status: 400,
    error: { type: 'error', code: 'request-not-translatable' },
  })
  const unknown = anthropic.messages.create({ model: 'claude-x', max_tokens: 1, messages })
  await expect(unknown).rejects.toMatchObject({ status: 404 })
})

test('a model is listed in both dialects that it is served in', async () => {
  const { data } = await openai.models.list()
  expect(data.map(({ id }) => id)).toEqual([
    'claude',
    'gemini',
    'gpt',
    'slow',
    'failing',
    'drained',
  ])
  const list = await anthropic.models.list()
  expect(list.data.map(({ id }) => id)).toEqual(['claude', 'gpt', 'slow', 'failing', 'drained'])
})

test.each([
  ['claude', 'openai-chat-to-anthropic-messages/1', '/messages', '/v1/chat/completions'],
  [
    'gemini',
    'openai-chat-to-google-generate/1',
    '/models/gemini-2.5-flash:generateContent',
    '/v1/chat/completions',
  ],
  ['gpt', 'anthropic-messages-to-openai-chat/1', '/chat/completions', '/v1/messages'],
])('the receipt of %s commits to all four bodies', async (model, transform, upstreamPath, path) => {
  for (const stream of [false, true]) {
    await provider.reset()
    const body = JSON.stringify({ model, max_tokens: 100, messages, stream })
    const url = `${gateway.url}${path}`
    const headers = { 'content-type': 'application/json' }
    const answer = await callRaw({ url, method: 'POST', headers, body })
    expect(answer.status, answer.body.toString()).toBe(200)
    const { claims } = await expectVerified(gateway.url, answer, body)
    const [seen] = await provider.log()
    const query = stream && model === 'gemini' ? '?alt=sse' : ''
    expect(claims).toMatchObject({
      request: { bytes: body.length },
      forwarded: { sha256: seen?.bodySha256, transform },
      response: { bytes: answer.body.length, transform, status: 200 },
      'upstream-response': { status: 200 },
      outcome: { state: 'complete', error: null },
      translation: {
        name: transform.slice(0, -2),
        version: '1',
        digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
      metering: { source: 'provider' },
      usage: { source: 'provider' },
    })
    if (!stream) expect(claims['translation']).toMatchObject({ path: upstreamPath })
    if (query !== '') {
      expect(claims['translation']).toMatchObject({ path: expect.stringContaining(query) })
    }
    expect(claims['upstream-response']).not.toMatchObject({ bytes: answer.body.length })
    const kept = await callRaw({
      url: `${gateway.url}/v1/receipts/${String(answer.headers['x-receipt-id'])}/upstream-response`,
      headers: { authorization: `Bearer ${String(answer.headers['x-receipt-token'])}` },
    })
    expect(kept.status).toBe(200)
    expect(claims['upstream-response']).toMatchObject({ bytes: kept.body.length })
    const stranger = await callRaw({
      url: `${gateway.url}/v1/receipts/${String(answer.headers['x-receipt-id'])}/upstream-response`,
      headers: { authorization: `Bearer ${'A'.repeat(43)}` },
    })
    expect(stranger.status).toBe(404)
  }
})

test('who leaves in the middle has a receipt for what was returned', async () => {
  await provider.reset()
  const body = JSON.stringify({ model: 'slow', max_tokens: 99, messages, stream: true })
  const answer = await callRaw({
    url: `${gateway.url}/v1/chat/completions`,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    leaveWhen: (bytes) => bytes > 0,
  })
  const { 'x-receipt-id': id, 'x-receipt-token': token } = answer.headers
  const receipt = await fetchReceipt(gateway.url, String(id), String(token), 60)
  expect(receipt.claims).toMatchObject({
    outcome: { state: 'aborted-by-client', error: null },
    response: { transform: 'openai-chat-to-anthropic-messages/1' },
  })
  const [seen] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  expect(seen?.end.kind).toBe('aborted-by-client')
})
