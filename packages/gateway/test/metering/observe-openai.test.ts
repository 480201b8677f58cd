import { expect, test } from 'vitest'
import { observeBody } from '../../src/metering/observe-usage.ts'
import type { UsageCounts } from '../../src/metering/usage.ts'
import { chat, countsOf, events, notesOf, observe } from './observe.ts'

const chatUsages: readonly (readonly [
  what: string,
  usage: object,
  counts: UsageCounts,
  notes: string[],
])[] = [
  [
    'cache, cache writes, audio and reasoning inside their wholes',
    {
      prompt_tokens: 100,
      completion_tokens: 50,
      total_tokens: 150,
      prompt_tokens_details: { cached_tokens: 30, cache_write_tokens: 20, audio_tokens: 10 },
      completion_tokens_details: { reasoning_tokens: 25, audio_tokens: 5 },
    },
    {
      input: 40,
      'cache-read': 30,
      'cache-write-5m': 20,
      'input-audio': 10,
      output: 20,
      reasoning: 25,
      'output-audio': 5,
    },
    [],
  ],
  [
    'audio that was cached',
    {
      prompt_tokens: 10,
      completion_tokens: 0,
      prompt_tokens_details: { cached_tokens: 8, audio_tokens: 6 },
    },
    { 'cache-read': 4, 'cache-read-audio': 4, 'input-audio': 2 },
    [],
  ],
  [
    'more parts at once than fit',
    {
      prompt_tokens: 10,
      prompt_tokens_details: { cached_tokens: 1, cache_write_tokens: 8, audio_tokens: 6 },
    },
    { 'cache-read-audio': 1, 'cache-write-5m': 8, 'input-audio': 1 },
    ['parts-exceed-whole'],
  ],
  [
    'parts above their whole',
    {
      prompt_tokens: 5,
      completion_tokens: 2,
      prompt_tokens_details: { cached_tokens: 9 },
      completion_tokens_details: { reasoning_tokens: 3 },
    },
    { 'cache-read': 5, reasoning: 2 },
    ['parts-exceed-whole'],
  ],
  [
    'a wrong total',
    { prompt_tokens: 5, completion_tokens: 2, total_tokens: 8 },
    { input: 5, output: 2 },
    ['total-mismatch'],
  ],
  [
    'a new count',
    { prompt_tokens: 5, completion_tokens: 2, telepathy_tokens: 8 },
    { input: 5, output: 2 },
    ['unknown-member'],
  ],
  [
    'a new count in a detail',
    { prompt_tokens: 5, prompt_tokens_details: { smell_tokens: 1 } },
    { input: 5 },
    ['unknown-member'],
  ],
]

test.each(chatUsages)('divides chat usage: %s', (_, usage, counts, notes) => {
  const seen = observeBody('openai-chat', Buffer.from(JSON.stringify(chat(usage))))
  expect(countsOf(seen)).toEqual(counts)
  expect(notesOf(seen)).toEqual(notes)
})

test('adds reasoning on the wire of xAI and nowhere else', () => {
  const body = Buffer.from(
    JSON.stringify(
      chat({
        prompt_tokens: 12,
        completion_tokens: 1,
        total_tokens: 303,
        completion_tokens_details: { reasoning_tokens: 290 },
        num_sources_used: 3,
      }),
    ),
  )
  expect(countsOf(observeBody('xai-chat', body))).toEqual({
    input: 12,
    output: 1,
    reasoning: 290,
    source: 3,
  })
  const other = observeBody('openai-chat', body)
  expect(countsOf(other)).toEqual({ input: 12, reasoning: 1, source: 3 })
  expect(notesOf(other)).toEqual(['parts-exceed-whole', 'total-mismatch'])
})

const item = (id: string, type: string, more: object = {}): unknown => ({
  type: 'response.output_item.done',
  item: { id, type, ...more },
})
const completed = (response: object): unknown => ({ type: 'response.completed', response })

test('counts finished tools of a response that breaks off, and each of them once', () => {
  const tools = [
    item('w1', 'web_search_call', { action: { type: 'search' } }),
    item('w2', 'web_search_call', { action: { type: 'open_page' } }),
    item('w1', 'web_search_call', { action: { type: 'search' } }),
    item('w3', 'web_search_call'),
    item('f1', 'file_search_call'),
    item('c1', 'code_interpreter_call', { container_id: 'a' }),
    item('c2', 'code_interpreter_call', { container_id: 'a' }),
    item('c3', 'code_interpreter_call', { container_id: 'b' }),
  ]
  const seen = observe('openai-responses', events(...tools))
  expect(seen.usage.kind).toBe('none')
  expect(countsOf(seen)).toEqual({ 'web-search': 2, 'file-search': 1, 'code-session': 2 })
  const usage = { input_tokens: 1, output_tokens: 1 }
  const whole = observe('openai-responses', events(...tools, completed({ usage, output: [] })))
  expect(countsOf(whole)).toEqual({ input: 1, output: 1 })
  const own = { usage, tool_usage: { web_search: { num_requests: 7 } } }
  expect(countsOf(observe('openai-responses', events(...tools, completed(own))))).toMatchObject({
    'web-search': 7,
    'code-session': 2,
  })
})

test('reads the end of a response that is too long to parse', () => {
  const response = {
    model: 'gpt',
    output: [{ type: 'message', content: 'x'.repeat(100_000) }],
    tools: [{ parameters: { properties: { usage: { input_tokens: 9 } } } }],
    usage: { input_tokens: 4, output_tokens: 5 },
    status: 'completed',
  }
  const seen = observe('openai-responses', events(completed(response)))
  expect(countsOf(seen)).toEqual({ input: 4, output: 5 })
  expect(seen).toMatchObject({ model: 'gpt', finish: 'completed', isTerminated: true })
  const body = observeBody('openai-responses', Buffer.from(JSON.stringify(response)))
  expect(body).toEqual({ ...seen })
})

const images = { data: [{ b64_json: 'aa' }, { b64_json: 'bb' }] }

test('counts images with and without usage', () => {
  const none = observeBody('openai-images', Buffer.from(JSON.stringify(images)))
  expect(none.usage).toEqual({ kind: 'none', counts: { image: 2 } })
  const usage = {
    input_tokens: 9,
    output_tokens: 100,
    input_tokens_details: { image_tokens: 5, text_tokens: 4 },
  }
  const counted = observeBody('openai-images', Buffer.from(JSON.stringify({ ...images, usage })))
  expect(countsOf(counted)).toEqual({ input: 4, 'input-image': 5, 'output-image': 100, image: 2 })
  const split = {
    input_tokens: 1,
    output_tokens: 100,
    output_tokens_details: { image_tokens: 90, text_tokens: 10 },
  }
  const streamed = observe(
    'openai-images',
    events({ type: 'image_generation.completed', usage: split }),
  )
  expect(countsOf(streamed)).toEqual({ input: 1, 'output-image': 90, output: 10, image: 1 })
  expect(streamed.isTerminated).toBe(true)
})

test('counts speech as audio and transcriptions by tokens or begun seconds', () => {
  const speech = observe(
    'openai-speech',
    events({
      type: 'speech.audio.done',
      usage: { input_tokens: 3, output_tokens: 40, total_tokens: 43 },
    }),
  )
  expect(countsOf(speech)).toEqual({ input: 3, 'output-audio': 40 })
  const tokens = {
    type: 'tokens',
    input_tokens: 50,
    input_token_details: { audio_tokens: 48, text_tokens: 2 },
    output_tokens: 7,
    total_tokens: 57,
  }
  const heard = observeBody(
    'openai-transcription',
    Buffer.from(JSON.stringify({ text: 'x', usage: tokens })),
  )
  expect(countsOf(heard)).toEqual({ input: 2, 'input-audio': 48, output: 7 })
  const seconds = observeBody(
    'openai-transcription',
    Buffer.from('{"usage":{"type":"duration","seconds":36.2}}'),
  )
  expect(countsOf(seconds)).toEqual({ 'audio-second': 37 })
})

test('counts the tools of a response whose output is too long to parse', () => {
  const search = { type: 'web_search_call', id: 'w', action: { type: 'search' } }
  const long = { type: 'message', content: [{ text: '"],{}\\'.repeat(20_000) }] }
  const output = [search, long, { ...search, id: 'v' }, { ...search, id: 'v' }]
  const body = { output, usage: { input_tokens: 4, output_tokens: 5 } }
  for (const text of [JSON.stringify(body), JSON.stringify(body, undefined, 2)]) {
    const seen = observeBody('openai-responses', Buffer.from(text))
    expect(countsOf(seen)).toEqual({ input: 4, output: 5, 'web-search': 2 })
  }
  expect(countsOf(observe('openai-responses', events(completed(body))))).toMatchObject({
    'web-search': 2,
  })
})
