import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callRaw, type RawResult } from '../../../../test/provider/raw-client.ts'
import {
  chatMessage,
  claudeMessage,
  data,
  geminiAnswer,
  pixel,
} from '../support/provider-answers.ts'
import { startQueuedUpstream, type QueuedUpstream } from '../support/queued-upstream.ts'
import { disposeGateway, startGateway, type RunningGateway } from '../support/start-gateway.ts'
import { translatedConfig } from '../support/translated-models.ts'

const question = [{ role: 'user' as const, content: 'Why?' }]
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

const sentToClaude = {
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
  expect(JSON.parse(upstream.seen[1]?.body ?? '')).toEqual(sentToClaude)
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

const delta = (value: object, finish_reason: string | null = null): object => ({
  id: 'chatcmpl-1',
  model: 'gpt-4.1-mini',
  choices: [{ index: 0, delta: value, finish_reason }],
})

test('parallel calls of OpenAI stream to the client of Anthropic', async () => {
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
