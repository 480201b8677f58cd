import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { meterWires, observeBody, type MeterWire } from '../../src/metering/observe-usage.ts'
import { chat, countsOf, events, observe } from './observe.ts'

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
    `data: ${payload}\rid: 7\r\r`,
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

test('knows the model of a stream that breaks off after its first event', () => {
  const first = { model: 'm', choices: [{ delta: { content: 'x' }, finish_reason: null }] }
  expect(observe('openai-chat', events(first))).toMatchObject({
    model: 'm',
    isTerminated: false,
    usage: { kind: 'none' },
  })
})
