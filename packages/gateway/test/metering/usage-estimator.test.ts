import { afterEach, expect, test } from 'vitest'
import { createTokenCounter } from '../../src/metering/count-tokens.ts'
import { applyRule, estimateRuleOf } from '../../src/metering/estimate-rule.ts'
import { readRequestTexts } from '../../src/metering/request-text.ts'
import { createUsageEstimator, type UsageEstimator } from '../../src/metering/usage-estimator.ts'
import { readBodyTexts, readStreamTexts } from '../../src/metering/written-text.ts'
import { events } from './observe.ts'

const opened: UsageEstimator[] = []
const openai = estimateRuleOf('openai', 'gpt-4o-mini')
const limits = { tokensPerAttachment: 1000, estimate: openai }
const tokens = createTokenCounter()

function open(options: Parameters<typeof createUsageEstimator>[0] = {}): UsageEstimator {
  const estimator = createUsageEstimator(options)
  opened.push(estimator)
  return estimator
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((estimator) => estimator.close()))
})

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const request = json({ model: 'm', messages: [{ role: 'user', content: 'Say this is a test!' }] })
const delta = (content: string, index = 0): unknown => ({
  choices: [{ index, delta: { content } }],
})
const piece = (text: string): unknown => ({ output_index: 1, delta: text })
const stream = Buffer.from(events(delta('This is a te'), delta('st 😀')))

/** Tokens of the prompt as an estimate has them. */
function inputOf(body: unknown): number {
  const read = readRequestTexts(json(body))
  if (read === undefined) throw new Error('no JSON')
  return applyRule(openai, { tokens: tokens.count(read.texts), messages: read.messages })
}

test('joins the pieces of one text and keeps those of different texts apart', () => {
  expect(readStreamTexts(stream)).toEqual(['This is a test 😀'])
  const two = events(delta('a'), delta('b', 1), delta('c'), delta('d', 1))
  expect(readStreamTexts(Buffer.from(two))).toEqual(['ac', 'bd'])
  expect(readStreamTexts(Buffer.from('data: [DONE]\n\n: x\n\n'))).toEqual([])
  const call = { index: 0, id: 'call_1', type: 'function', function: { name: 'f', arguments: '' } }
  const more = { index: 0, function: { arguments: '{"a":1}' } }
  const called = [call, more].map((each) => ({ choices: [{ delta: { tool_calls: [each] } }] }))
  expect(readStreamTexts(Buffer.from(events(...called))).toSorted()).toEqual(['f', '{"a":1}'])
})

test('finds what a model wrote, and not what stands beside it', () => {
  const messages = [
    { type: 'message_start', message: { id: 'long id', content: [] } },
    { type: 'content_block_start', index: 0, content_block: { type: 'tool_use', input: {} } },
    { type: 'content_block_delta', index: 0, delta: { partial_json: '{"x":' } },
    { type: 'content_block_delta', index: 0, delta: { partial_json: '1}' } },
    { type: 'content_block_delta', index: 1, delta: { signature: 'not text' } },
    {
      index: 2,
      content_block: { type: 'web_search_tool_result', content: [{ text: 'not ours' }] },
    },
  ]
  expect(readStreamTexts(Buffer.from(events(...messages))).join('')).toBe('{"x":1}')
  const parts = [
    { text: 'Hi', thoughtSignature: 'no' },
    { functionCall: { name: 'f', args: { a: 1 } } },
  ]
  const google = { candidates: [{ content: { parts, role: 'model' } }] }
  expect(readBodyTexts(json([google])).toSorted()).toEqual(['Hi', 'f', '{"a":1}'])
  const spoken = { type: 'response.audio.delta', output_index: 0, delta: 'AAAA' }
  expect(readStreamTexts(Buffer.from(events(spoken)))).toEqual([])
  expect(readBodyTexts(Buffer.from('plain text'))).toEqual(['plain text'])
  const deep = `{"delta":${'['.repeat(50_000)}"x"${']'.repeat(50_000)}}`
  expect(readBodyTexts(Buffer.from(deep))).toEqual([])
})

test('counts an item once, whether it came in pieces, as a whole, or both', () => {
  const whole = { output_index: 1, item: { name: 'ab', arguments: 'cdef', output: 'not written' } }
  expect(readStreamTexts(Buffer.from(events(piece('abc'), piece('def'))))).toEqual(['abcdef'])
  expect(readStreamTexts(Buffer.from(events(whole))).join('')).toHaveLength(6)
  expect(readStreamTexts(Buffer.from(events(piece('abc'), piece('def'), whole)))).toEqual([
    'abcdef',
  ])
  const twice = events(whole, { ...whole, output_index: 2 })
  expect(readStreamTexts(Buffer.from(twice)).join('')).toHaveLength(12)
  const body = { output: [{ type: 'message', content: [{ type: 'output_text', text: 'abc' }] }] }
  expect(readBodyTexts(json(body))).toEqual(['abc'])
})

test('counts what OpenAI says that its own prompts have, or a little less', () => {
  // The two examples of its cookbook, "How to count tokens with tiktoken": 124 and 101 by the answers of gpt-4o.
  const jargon = [
    [
      '',
      'You are a helpful, pattern-following assistant that translates corporate jargon into plain English.',
    ],
    ['example_user', 'New synergies will help drive top-line growth.'],
    ['example_assistant', 'Things working well together will increase revenue.'],
    [
      'example_user',
      "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    ],
    ['example_assistant', "Let's talk later when we're less busy about how to do better."],
  ].map(([name, content]) => ({ role: 'system', content, ...(name === '' ? {} : { name }) }))
  const last =
    "This late pivot means we don't have time to boil the ocean for the client deliverable."
  const translate = inputOf({ messages: [...jargon, { role: 'user', content: last }] })
  expect(translate).toBeLessThanOrEqual(124)
  expect(translate).toBeGreaterThan(118)
  const place = { type: 'string', description: 'The city and state, e.g. San Francisco, CA' }
  const unit = {
    type: 'string',
    description: 'The unit of temperature to return',
    enum: ['celsius', 'fahrenheit'],
  }
  const parameters = {
    type: 'object',
    properties: { location: place, unit },
    required: ['location'],
  }
  const description = 'Get the current weather in a given location'
  const weather = { name: 'get_current_weather', description, parameters }
  const system = 'You are a helpful assistant that can answer to questions about the weather.'
  const ask = inputOf({
    messages: [
      { role: 'system', content: system },
      { role: 'user', content: "What's the weather like in San Francisco?" },
    ],
    tools: [{ type: 'function', function: weather }],
  })
  expect(ask).toBeLessThanOrEqual(101)
  // What the provider writes around a tool is not counted.
  expect(ask).toBeGreaterThan(60)
})

test('reads the texts of a request apart from its attachments, and nothing that is no text', () => {
  const image = { type: 'image_url', image_url: { url: `data:${'A'.repeat(9999)}` } }
  const user = { role: 'user', content: [{ type: 'text', text: 'see' }, image, image] }
  const result = { role: 'tool', tool_call_id: 'id', content: 'result' }
  expect(readRequestTexts(json({ model: 'm', messages: [user, result], stop: ['no'] }))).toEqual({
    texts: expect.arrayContaining(['see', 'result']),
    messages: 2,
    attachments: 2,
  })
  const anthropic = {
    system: [{ type: 'text', text: 'rules', cache_control: { type: 'ephemeral' } }],
    messages: [
      { role: 'assistant', content: [{ type: 'tool_use', id: 'x', name: 'f', input: {} }] },
    ],
  }
  expect(readRequestTexts(json(anthropic))?.texts.toSorted()).toEqual(['f', 'rules', '{}'])
  const google = {
    systemInstruction: { parts: [{ text: 'rules' }] },
    contents: [{ role: 'user', parts: [{ text: 'hi' }, { inlineData: { data: 'AAAA' } }] }],
  }
  const generate = readRequestTexts(json(google))
  expect(generate?.texts.toSorted()).toEqual(['hi', 'rules'])
  expect(generate?.attachments).toBe(1)
  expect(readRequestTexts(json({ input: ['a', 'b'] }))?.texts.toSorted()).toEqual(['a', 'b'])
  expect(readRequestTexts(json({ input: 'a' }))).toMatchObject({ texts: ['a'], messages: 1 })
  expect(readRequestTexts(Buffer.from('no JSON'))).toBeUndefined()
})

test('counts long words in pieces, long texts by their beginning, and control words as text', () => {
  expect(tokens.count(['hello world', ' and more'])).toBe(4)
  expect(tokens.count(['<|endoftext|>'])).toBeGreaterThan(3)
  const prose = 'The quick brown fox jumps over the lazy dog; '.repeat(200)
  // Cut between words, the count is that of the whole: ten tokens for each time.
  expect(tokens.count([prose])).toBe(2001)
  expect(tokens.count([' '.repeat(100_000)])).toBeLessThan(1000)
  expect(tokens.count(['\u{1f600}'.repeat(5000)])).toBeLessThan(10_000)
  expect(tokens.count(['word '.repeat(400_000)]) / 400_000).toBeCloseTo(1, 1)
})

test('takes of other vocabularies what they are known to make', () => {
  const count = { tokens: 101, messages: 3 }
  expect(applyRule(openai, count)).toBe(101 + 3 * 4 + 2)
  expect(applyRule(openai, { tokens: 7, messages: 0 })).toBe(7)
  for (const model of [
    'gpt-5-mini',
    'o3',
    'o4-mini',
    'chatgpt-4o-latest',
    'ft:gpt-4o:x',
    'gpt-4.1',
  ]) {
    expect(estimateRuleOf('openai', model), model).toEqual(openai)
  }
  for (const model of ['gpt-4', 'gpt-3.5-turbo', 'o300', 'llama-3', 'my-gpt-4o']) {
    expect(applyRule(estimateRuleOf('openai', model), count), model).toBe(80)
  }
  expect(applyRule(estimateRuleOf('anthropic', 'claude-opus-5'), count)).toBe(101)
  expect(applyRule(estimateRuleOf('google', 'gemini-3-pro'), count)).toBe(90)
  expect(applyRule(estimateRuleOf('xai', 'gpt-4o'), count)).toBe(90)
})

test('estimates in a worker', async () => {
  const estimator = open()
  const job = { request, answer: stream, isStream: true, limits }
  // OpenAI counts 12 or 13 for this prompt.
  expect(await estimator.estimate(job)).toEqual({ input: 6 + 4 + 2, output: 5 })
  const form = { request: Buffer.from('form'), answer: Buffer.from('{}'), isStream: false, limits }
  expect(await estimator.estimate(form)).toEqual({ input: 1000, output: 0 })
  // The caller's bytes stay its own.
  expect(request.length).toBe(74)
})

test('answers each of many jobs with its own figures', async () => {
  const estimator = open()
  const sizes = Array.from({ length: 40 }, (_, index) => index)
  const outputs = await Promise.all(
    sizes.map(async (size) => {
      const answer = json({ output: [{ name: 'x '.repeat(size).trim() }] })
      return (await estimator.estimate({ request, answer, isStream: false, limits }))?.output
    }),
  )
  expect(outputs).toEqual(sizes)
})

test('gives no estimate when there is too much or too many', async () => {
  const job = { request, answer: stream, isStream: true, limits }
  expect(await open({ maxJobBytes: 10 }).estimate(job)).toBeUndefined()
  const busy = open({ maxJobs: 1 })
  const [first, second] = await Promise.all([busy.estimate(job), busy.estimate(job)])
  expect(first).toBeDefined()
  expect(second).toBeUndefined()
  const narrow = open({ maxWaitingBytes: job.request.length + job.answer.length })
  const three = await Promise.all([job, job, job].map((each) => narrow.estimate(each)))
  expect(three.filter((each) => each === undefined)).toHaveLength(1)
})

test('gives no estimate for a job that takes too long, and the others theirs', async () => {
  const job = { request, answer: stream, isStream: true, limits }
  // Millions of events take longer than the time below, by far.
  const long = { ...job, answer: Buffer.alloc(60_000_000, 'a\n\n') }
  const estimator = open({ timeoutMs: 3000 })
  const [first, slow, last] = await Promise.all([
    estimator.estimate(job),
    estimator.estimate(long),
    estimator.estimate(job),
  ])
  expect({ first: first?.output, slow, last: last?.output }).toEqual({
    first: 5,
    slow: undefined,
    last: 5,
  })
})

test('lets those that wait go when it is closed, and starts anew', async () => {
  const estimator = open()
  const job = { request, answer: stream, isStream: true, limits }
  const waiting = Promise.all([estimator.estimate(job), estimator.estimate(job)])
  await estimator.close()
  expect(await waiting).toEqual([undefined, undefined])
  expect(await estimator.estimate(job)).toEqual({ input: 12, output: 5 })
})
