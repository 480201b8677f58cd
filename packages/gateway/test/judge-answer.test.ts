import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { judgeWholeAnswer, type ExpectedAnswer } from '../src/call/judge-answer.ts'

const chat: ExpectedAnswer = { meter: 'openai-chat', form: 'json' }
const body = Buffer.from(
  `{"model":"m","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`,
)

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
  expect(judgeWholeAnswer(status, headers, bytes, chat)).toMatchObject(expected)
})

test('keeps an error back that quotes the key of the operator', () => {
  const quoting = Buffer.from('{"error":{"headers":{"authorization":"Bearer sk-operator-012345"}}}')
  const judge = (status: number, secret: string): string | undefined =>
    judgeWholeAnswer(status, {}, quoting, { ...chat, secret }).code
  expect(judge(400, 'sk-operator-012345')).toBe('upstream-credentials')
  expect(judge(500, 'sk-operator-012345')).toBe('upstream-credentials')
  expect(judge(400, 'sk-operator-0123456')).toBeUndefined()
  // What servers without keys are given: it could stand in any sentence.
  expect(judge(400, 'operator')).toBeUndefined()
})

const spoken: ExpectedAnswer = { meter: 'openai-speech', form: 'any' }
const counted: ExpectedAnswer = { meter: undefined, form: 'json' }

test('takes bytes of any type only where a path answers with them', () => {
  const sound = Buffer.from([0xff, 0xf3, 0x00])
  const audio = { 'content-type': 'audio/mpeg' }
  expect(judgeWholeAnswer(200, audio, sound, spoken)).toMatchObject({ state: 'complete' })
  expect(judgeWholeAnswer(200, audio, Buffer.alloc(0), spoken)).toMatchObject({
    error: 'body-malformed',
  })
  for (const expected of [chat, counted]) {
    expect(judgeWholeAnswer(200, audio, sound, expected)).toMatchObject({ error: 'body-malformed' })
  }
  const json = { 'content-type': 'application/json; charset=utf-8' }
  expect(judgeWholeAnswer(200, json, sound, spoken)).toMatchObject({ error: 'body-malformed' })
})

test('asks no more of an answer that nobody counts than to be an object', () => {
  const failed = Buffer.from('{"id":"resp_1","status":"failed","error":{"code":"x"}}')
  expect(judgeWholeAnswer(200, {}, failed, counted)).toMatchObject({ state: 'complete' })
  expect(judgeWholeAnswer(200, {}, Buffer.from('[]'), counted)).toMatchObject({
    error: 'body-malformed',
  })
})
