import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { splitEvents } from '@countersign/protocol/receipt/event-chain'
import {
  createUsageObserver,
  meterWires,
  observeBody,
  type MeterWire,
} from '../../src/metering/observe-usage.ts'
import { compactCounts, type Observation, type UsageCounts } from '../../src/metering/usage.ts'

function observe(wire: MeterWire, stream: string): Observation {
  const observer = createUsageObserver(wire)
  const { events, rest } = splitEvents(Buffer.from(stream))
  for (const event of [...events, rest]) observer.observe(event)
  return observer.result()
}

function events(...payloads: readonly unknown[]): string {
  return payloads.map((payload) => `data: ${JSON.stringify(payload)}\n\n`).join('')
}

const countsOf = ({ usage }: Observation): UsageCounts => compactCounts(usage.counts)
const notesOf = ({ usage }: Observation): readonly string[] =>
  usage.kind === 'none' ? [] : usage.notes
const chat = (usage: unknown): unknown => ({ model: 'm', choices: [], usage })
const done = 'data: [DONE]\n\n'

test('takes the last snapshot of a chat stream, never a sum', () => {
  const seen = observe(
    'openai-chat',
    events(
      chat(null),
      chat({ prompt_tokens: 5, completion_tokens: 1 }),
      chat({ prompt_tokens: 5, completion_tokens: 9 }),
    ) + done,
  )
  expect(countsOf(seen)).toEqual({ input: 5, output: 9 })
  expect(seen).toMatchObject({ isTerminated: true, hasError: false, usage: { kind: 'exact' } })
})

const anthropicStart = (usage: unknown, id = 'msg_1'): unknown => ({
  type: 'message_start',
  message: { id, model: 'claude', usage },
})
const anthropicDelta = (usage: unknown): unknown => ({
  type: 'message_delta',
  delta: { stop_reason: 'end_turn' },
  usage,
})

test('does not let a late message_start take back what a message_delta counted', () => {
  const start = anthropicStart({ input_tokens: 17, output_tokens: 1 })
  const seen = observe(
    'anthropic',
    events(start, start, anthropicDelta({ output_tokens: 227 }), start, { type: 'message_stop' }),
  )
  expect(countsOf(seen)).toEqual({ input: 17, output: 227 })
  expect(seen.isTerminated).toBe(true)
})

test('reads usage that comes in a message_delta only', () => {
  const seen = observe('anthropic', events(anthropicDelta({ input_tokens: 3, output_tokens: 2 })))
  expect(countsOf(seen)).toEqual({ input: 3, output: 2 })
})

test('knows the input of a message before its output', () => {
  const seen = observe(
    'anthropic',
    events(anthropicStart({ input_tokens: 3, cache_read_input_tokens: 9, output_tokens: 1 }), {
      type: 'ping',
    }),
  )
  expect(seen.usage.kind).toBe('input-only')
  expect(countsOf(seen)).toEqual({ input: 3, 'cache-read': 9, output: 1 })
})

const cacheWrites: readonly (readonly [
  what: string,
  usage: object,
  counts: UsageCounts,
  notes: string[],
])[] = [
  [
    'split in two',
    { total: 7, short: 3, long: 4 },
    { 'cache-write-5m': 3, 'cache-write-1h': 4 },
    [],
  ],
  [
    'split of an earlier total, short',
    { total: 9, short: 3, long: 0 },
    { 'cache-write-5m': 9 },
    ['cache-write-unsplit'],
  ],
  [
    'split of an earlier total, long',
    { total: 9, short: 0, long: 3 },
    { 'cache-write-1h': 9 },
    ['cache-write-unsplit'],
  ],
  [
    'split of an earlier total, both',
    { total: 9, short: 1, long: 3 },
    { 'cache-write-5m': 6, 'cache-write-1h': 3 },
    ['cache-write-unsplit'],
  ],
  ['no split', { total: 9 }, { 'cache-write-5m': 9 }, ['cache-write-unsplit']],
  ['no total', { short: 2, long: 3 }, { 'cache-write-5m': 2, 'cache-write-1h': 3 }, []],
  [
    'a split above its total',
    { total: 4, short: 3, long: 3 },
    { 'cache-write-5m': 3, 'cache-write-1h': 1 },
    ['parts-exceed-whole'],
  ],
]

test.each(cacheWrites)('counts cache writes by their lifetime: %s', (_, figures, counts, notes) => {
  const { total, short, long } = { total: undefined, short: undefined, long: undefined, ...figures }
  const seen = observeBody(
    'anthropic',
    Buffer.from(
      JSON.stringify({
        usage: {
          input_tokens: 0,
          output_tokens: 0,
          cache_creation_input_tokens: total,
          cache_creation: { ephemeral_5m_input_tokens: short, ephemeral_1h_input_tokens: long },
        },
      }),
    ),
  )
  expect(countsOf(seen)).toEqual(counts)
  expect(notesOf(seen)).toEqual(notes)
})

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
    item('f1', 'file_search_call'),
    item('c1', 'code_interpreter_call', { container_id: 'a' }),
    item('c2', 'code_interpreter_call', { container_id: 'a' }),
    item('c3', 'code_interpreter_call', { container_id: 'b' }),
  ]
  const seen = observe('openai-responses', events(...tools))
  expect(seen.usage.kind).toBe('none')
  expect(countsOf(seen)).toEqual({ 'web-search': 1, 'file-search': 1, 'code-session': 2 })
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

const chunk = (usageMetadata: unknown, more: object = {}): unknown => ({
  modelVersion: 'gemini',
  usageMetadata,
  ...more,
})

test('divides the input and output of Google by modality', () => {
  const seen = observe(
    'google',
    events(
      chunk({ trafficType: 'PROVISIONED_THROUGHPUT' }),
      chunk(
        {
          promptTokenCount: 100,
          cachedContentTokenCount: 20,
          toolUsePromptTokenCount: 5,
          candidatesTokenCount: 30,
          thoughtsTokenCount: 7,
          totalTokenCount: 142,
          promptTokensDetails: [
            { modality: 'TEXT', tokenCount: 40 },
            { modality: 'AUDIO', tokenCount: 25 },
            { modality: 'VIDEO', tokenCount: 15 },
          ],
          candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 29 }],
        },
        {
          candidates: [
            { finishReason: 'STOP', groundingMetadata: { webSearchQueries: ['a', 'b', 'a', ''] } },
          ],
        },
      ),
    ),
  )
  expect(countsOf(seen)).toEqual({
    input: 45,
    'cache-read': 20,
    'input-audio': 25,
    'input-video': 15,
    output: 1,
    'output-image': 29,
    reasoning: 7,
    'web-search': 2,
  })
  expect(notesOf(seen)).toEqual([])
  expect(seen).toMatchObject({ finish: 'STOP', isTerminated: true, model: 'gemini' })
})

test('knows a prompt that Google blocked as ended, and an array as a stream', () => {
  expect(observe('google', events({ promptFeedback: { blockReason: 'SAFETY' } }))).toMatchObject({
    finish: 'SAFETY',
    isTerminated: true,
  })
  const usage = { promptTokenCount: 3, candidatesTokenCount: 4 }
  const open = observeBody('google', Buffer.from(JSON.stringify([chunk(usage)])))
  expect(open.isTerminated).toBe(false)
  expect(countsOf(open)).toEqual({ input: 3, output: 4 })
  const ended = [chunk(usage), { candidates: [{ finishReason: 'STOP' }] }]
  expect(observeBody('google', Buffer.from(JSON.stringify(ended))).isTerminated).toBe(true)
})

const failures: readonly (readonly [wire: MeterWire, event: unknown])[] = [
  ['openai-chat', { error: { message: 'x' } }],
  ['xai-chat', { error: 'x' }],
  ['openai-responses', { type: 'error', code: 'x' }],
  [
    'openai-responses',
    { type: 'response.failed', response: { error: { code: 'x' }, usage: null } },
  ],
  ['anthropic', { type: 'error', error: { type: 'overloaded_error' } }],
  ['google', { error: { code: 503 } }],
  ['google-interactions', { event_type: 'error', error: { code: 'x' } }],
  ['openai-images', { type: 'error', error: { code: 'x' } }],
]

test.each(failures)('sees an error inside a stream of %s', (wire, failure) => {
  const first = events({ model: 'm', type: 'x' })
  expect(observe(wire, first + events(failure))).toMatchObject({
    hasError: true,
    usage: { kind: 'none' },
  })
  // What a model writes is a string, and its quotes are escaped.
  const quoted = events({ model: 'm', type: 'x', delta: { text: JSON.stringify(failure) } })
  expect(observe(wire, quoted).hasError).toBe(false)
})

test('reads any framing that server-sent events allow', () => {
  const payload = JSON.stringify(chat({ prompt_tokens: 3, completion_tokens: 4 }))
  const framings = [
    `data: ${payload}\n\n`,
    `data:${payload}\n\n`,
    `data: ${payload}\r\n\r\n`,
    `data: ${payload}\r\r`,
    `: note\nid: 7\nevent: x\ndata: ${payload}\nretry: 5\n\n`,
    `\uFEFFdata: ${payload}\n\n`,
    `data: ${payload}`,
    `data: ${payload.replace(',"usage"', '\ndata: ,"usage"')}\n\n`,
    `event: data:\ndata: ${payload.replace('"m"', '"data:m"')}\n\n`,
  ]
  for (const framing of framings) {
    expect(countsOf(observe('openai-chat', framing)), framing).toEqual({ input: 3, output: 4 })
  }
  const commented = observe('openai-chat', `: data: ${payload}\n\n`)
  expect(commented.usage.kind).toBe('none')
})

test('believes only whole numbers that are not negative', () => {
  for (const value of ['-1', '1.5', '1e300', '"3"', 'null', 'true', '[3]', '9007199254740992']) {
    const seen = observeBody(
      'openai-chat',
      Buffer.from(`{"usage":{"prompt_tokens":1,"completion_tokens":${value}}}`),
    )
    expect(countsOf(seen), value).toEqual({ input: 1 })
    const without = observeBody('openai-chat', Buffer.from(`{"usage":{"prompt_tokens":${value}}}`))
    expect(without.usage.kind, value).toBe('none')
  }
})

test('throws at nothing that a provider can send, and counts nothing twice', () => {
  const words = fc.constantFrom(
    'data: ',
    '\n',
    '\r\n\r\n',
    '{"usage":{',
    '"usageMetadata":{',
    '"type":"message_delta"',
    '[DONE]',
    '"error"',
    '}',
    '\\ud800',
    'null',
    '"finish_reason":"',
  )
  const value = fc.oneof(fc.nat(), fc.constantFrom(null, 'x', -1, 1.5, [], {}, 2 ** 60))
  const names = fc.constantFrom(
    'usage',
    'message',
    'response',
    'usageMetadata',
    'type',
    'input_tokens',
    'prompt_tokens',
    'promptTokenCount',
    'output',
    'cache_creation',
    'prompt_tokens_details',
    'cached_tokens',
    'data',
  )
  const json = fc.letrec((tie) => ({
    node: fc.oneof(
      value,
      fc.dictionary(names, tie('node'), { maxKeys: 5 }),
      fc.array(tie('node'), { maxLength: 3 }),
    ),
  })).node
  fc.assert(
    fc.property(
      fc.constantFrom(...meterWires),
      fc.array(
        fc.oneof(
          words,
          json.map((it) => `data: ${JSON.stringify(it)}\n\n`),
        ),
      ),
      json,
      (wire, parts, body) => {
        for (const seen of [
          observe(wire, parts.join('')),
          observeBody(wire, Buffer.from(JSON.stringify(body))),
        ]) {
          for (const count of Object.values(seen.usage.counts)) {
            expect(Number.isSafeInteger(count) && count >= 0).toBe(true)
          }
        }
      },
    ),
    { numRuns: 2000 },
  )
})
