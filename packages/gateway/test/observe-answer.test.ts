import { gzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { splitEvents } from '@countersign/protocol/receipt/event-chain'
import { judgeWholeAnswer } from '../src/call/judge-answer.ts'
import {
  createStreamObserver,
  observeJson,
  type ProviderAssertions,
} from '../src/call/observe-answer.ts'

function observe(stream: string): ProviderAssertions {
  const observer = createStreamObserver()
  const { events, rest } = splitEvents(Buffer.from(stream))
  for (const event of [...events, rest]) observer.observe(event)
  return observer.result()
}

const usageOf = ({ usage }: ProviderAssertions): unknown =>
  usage instanceof Map ? Object.fromEntries(usage) : usage

const noUsage = { input: null, output: null, raw: null, source: 'none' }
const chunk = (members: string): string => `data: {"model":"m",${members}}\n\n`
const counted = '"usage":{"prompt_tokens":3,"completion_tokens":4}'
const done = 'data: [DONE]\n\n'

test('takes model, finish reason and the last usage out of a stream', () => {
  const seen = observe(
    [
      chunk('"usage":null,"choices":[{"finish_reason":null}]'),
      chunk('"usage":{"prompt_tokens":1,"completion_tokens":1}'),
      chunk('"choices":[{"finish_reason":"length"}]'),
      chunk(`"choices":[],${counted}`),
      done,
    ].join(''),
  )
  expect(seen).toMatchObject({ model: 'm', finish: 'length', isTerminated: true, hasError: false })
  // The last snapshot, never a sum.
  expect(usageOf(seen)).toEqual({
    input: 3,
    output: 4,
    raw: '{"prompt_tokens":3,"completion_tokens":4}',
    source: 'provider',
  })
})

const endings: readonly (readonly [what: string, stream: string, isTerminated: boolean])[] = [
  ['the usual end', done, true],
  ['CRLF', 'data: [DONE]\r\n\r\n', true],
  ['CR', 'data: [DONE]\r\r', true],
  ['no space', 'data:[DONE]\n\n', true],
  ['no empty line', 'data: [DONE]', true],
  ['comments around', ': a\nid: 1\ndata: [DONE]\n: b\n\n', true],
  ['another field', 'date: [DONE]\n\n', false],
  ['a comment', ': data: [DONE]\n\n', false],
  ['an event name', 'event: [DONE]\ndata: {}\n\n', false],
  ['a quotation', 'data: {"c":"[DONE]"}\n\n', false],
  ['two lines', 'data: [DONE]\ndata: x\n\n', false],
  ['a longer word', 'data: [DONE]]\n\n', false],
  ['lower case', 'data: [done]\n\n', false],
  ['nothing', '', false],
]

test.each(endings)('judges whether a stream is over: %s', (_, stream, isTerminated) => {
  expect(observe(`${chunk(counted)}${stream}`).isTerminated).toBe(isTerminated)
})

test('sees an error that the provider puts into its stream, and none that a model writes', () => {
  expect(observe('data: {"error":{"message":"x"}}\n\n').hasError).toBe(true)
  expect(observe(chunk('"a":1') + 'data: {"error" : "x"}\n\n').hasError).toBe(true)
  expect(observe(chunk('"error":null')).hasError).toBe(false)
  expect(observe(chunk('"choices":[{"delta":{"content":"\\"error\\":{}"}}]')).hasError).toBe(false)
})

test('takes usage in any spacing, and only from the top of a chunk', () => {
  for (const text of ['"usage" : {"prompt_tokens":3}', '"usage":\t{ "prompt_tokens" :3 }']) {
    expect(usageOf(observe(chunk('"a":1') + chunk(text)))).toMatchObject({ input: 3 })
  }
  const nested = chunk('"choices":[{"delta":{"usage":{"prompt_tokens":3}}}]')
  const quoted = chunk('"choices":[{"delta":{"content":"\\"usage\\":{\\"prompt_tokens\\":3}"}}]')
  for (const text of [nested, quoted]) expect(usageOf(observe(text))).toEqual(noUsage)
})

test('reads no chunk over 64 KiB, and goes on after it', () => {
  const big = chunk(`"usage":{"prompt_tokens":1},"x":"${'x'.repeat(65_536)}"`)
  expect(usageOf(observe(big))).toEqual(noUsage)
  expect(usageOf(observe(big + chunk(counted)))).toMatchObject({ input: 3, output: 4 })
})

test('believes only whole numbers that are not negative', () => {
  const values = ['-1', '1.5', '1e300', '"3"', 'null', 'true', '[3]', '9007199254740992']
  for (const value of values) {
    const seen = observe(chunk(`"usage":{"prompt_tokens":${value},"completion_tokens":0}`))
    expect(usageOf(seen)).toMatchObject({ input: null, output: 0, source: 'provider' })
  }
})

test('throws at nothing that a provider can send', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        'data: ',
        '\n',
        '\r\n\r\n',
        '{"model":',
        '"usage":{',
        '[DONE]',
        '"error"',
        '}',
        '\\ud800',
        'null',
      ),
    ),
  )
  fc.assert(
    fc.property(pieces, (all) => {
      const seen = observe(all.join(''))
      expect(usageOf(seen)).toHaveProperty('source')
      expect(usageOf(observeJson(Buffer.from(all.join(''))))).toHaveProperty('source')
    }),
    { numRuns: 3000 },
  )
})

const body = Buffer.from(`{"model":"m","choices":[{"finish_reason":"stop"}],${counted}}`)

const judged: readonly (readonly [
  what: string,
  status: number,
  headers: Record<string, string>,
  body: Buffer,
  expected: object,
])[] = [
  ['a whole answer', 200, {}, body, { state: 'complete', error: null, code: undefined }],
  [
    'gzip',
    200,
    { 'content-encoding': 'gzip' },
    gzipSync(body),
    { state: 'upstream-error', error: 'body-encoded', code: 'upstream-failed' },
  ],
  [
    'an error in gzip',
    500,
    { 'content-encoding': 'gzip' },
    gzipSync(body),
    { error: 'body-encoded', code: 'upstream-failed' },
  ],
  [
    'an encoding that says identity',
    200,
    { 'content-encoding': 'identity' },
    body,
    { state: 'complete', code: undefined },
  ],
  [
    'no JSON',
    200,
    {},
    Buffer.from('<html>'),
    { state: 'upstream-error', error: 'body-malformed', code: 'upstream-failed' },
  ],
  ['an array', 200, {}, Buffer.from('[]'), { error: 'body-malformed', code: 'upstream-failed' }],
  [
    'an error with 200',
    200,
    {},
    Buffer.from('{"error":{"code":"x"}}'),
    { state: 'upstream-error', error: 'error-in-body', code: undefined },
  ],
  ['400', 400, {}, body, { state: 'upstream-error', error: 'status-400', code: undefined }],
  [
    '401',
    401,
    {},
    body,
    { state: 'upstream-error', error: 'status-401', code: 'upstream-credentials' },
  ],
  ['403', 403, {}, body, { error: 'status-403', code: 'upstream-credentials' }],
  ['500', 500, {}, Buffer.alloc(0), { error: 'status-500', code: undefined }],
  ['201', 201, {}, body, { error: 'status-201', code: 'upstream-failed' }],
  ['302', 302, {}, body, { error: 'status-302', code: 'upstream-failed' }],
]

test.each(judged)('judges %s', (_, status, headers, bytes, expected) => {
  expect(judgeWholeAnswer(status, headers, bytes)).toMatchObject(expected)
})
