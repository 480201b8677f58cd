import { expect, test } from 'vitest'
import { observeBody } from '../../src/metering/observe-usage.ts'
import type { UsageCounts } from '../../src/metering/usage.ts'
import { countsOf, events, notesOf, observe } from './observe.ts'

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

test('keeps what message_start counted where a message_delta says null', () => {
  const start = { input_tokens: 3, cache_read_input_tokens: 900, output_tokens: 1 }
  const delta = {
    input_tokens: null,
    cache_read_input_tokens: null,
    cache_creation_input_tokens: null,
    server_tool_use: null,
    output_tokens: 20,
  }
  const seen = observe('anthropic', events(anthropicStart(start), anthropicDelta(delta)))
  expect(seen.usage.kind).toBe('exact')
  expect(countsOf(seen)).toEqual({ input: 3, 'cache-read': 900, output: 20 })
})

test('counts what it took to make a conversation shorter', () => {
  const compaction = {
    type: 'compaction',
    input_tokens: 180_000,
    cache_read_input_tokens: 7,
    cache_creation_input_tokens: 9,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 9 },
    output_tokens: 3500,
  }
  const message = { type: 'message', input_tokens: 23_000, output_tokens: 1000 }
  const usage = { input_tokens: 23_000, output_tokens: 1000, iterations: [compaction, message] }
  const counts = {
    input: 203_000,
    'cache-read': 7,
    'cache-write-1h': 9,
    output: 4500,
  }
  const whole = observeBody('anthropic', Buffer.from(JSON.stringify({ usage })))
  expect(countsOf(whole)).toEqual(counts)
  const start = anthropicStart({ input_tokens: 23_000, output_tokens: 1 })
  expect(countsOf(observe('anthropic', events(start, anthropicDelta(usage))))).toEqual(counts)
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

function countCached(cached: readonly object[]): UsageCounts {
  const usage = {
    promptTokenCount: 1000,
    cachedContentTokenCount: 500,
    promptTokensDetails: [
      { modality: 'TEXT', tokenCount: 400 },
      { modality: 'AUDIO', tokenCount: 350 },
      { modality: 'IMAGE', tokenCount: 250 },
    ],
    cacheTokensDetails: cached,
  }
  return countsOf(observe('google', events(chunk(usage))))
}

test('takes what Google says of the modality of cached tokens', () => {
  expect(
    countCached([
      { modality: 'AUDIO', tokenCount: 300 },
      { modality: 'TEXT', tokenCount: 200 },
    ]),
  ).toEqual({
    input: 200,
    'cache-read': 200,
    'cache-read-audio': 300,
    'input-audio': 50,
    'input-image': 250,
  })
  expect(countCached([{ modality: 'IMAGE', tokenCount: 250 }])).toMatchObject({
    'cache-read-image': 250,
    'input-audio': 350,
  })
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

test('reads a stream of Google that comes as a long array', () => {
  const text = 'x'.repeat(50_000)
  const chunks = [1, 2, 3].map((count) =>
    chunk({ promptTokenCount: 3, candidatesTokenCount: count }, { candidates: [{ text }] }),
  )
  const seen = observeBody('google', Buffer.from(JSON.stringify(chunks, undefined, 1)))
  expect(countsOf(seen)).toEqual({ input: 3, output: 3 })
})

test('takes no snapshot of Google that does not count the prompt', () => {
  const counted = chunk({ promptTokenCount: 3, candidatesTokenCount: 4 })
  const uncounted = chunk({ candidatesTokenCount: 9, trafficType: 'PROVISIONED_THROUGHPUT' })
  expect(countsOf(observe('google', events(counted, uncounted)))).toEqual({ input: 3, output: 4 })
})
