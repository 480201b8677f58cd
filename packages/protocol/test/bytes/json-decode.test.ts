import * as fc from 'fast-check'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { decodeJson, type JsonValue } from '@countersign/protocol/bytes/json-decode'
import { expect, test } from 'vitest'
import { bytes, manyRuns, portion, runs } from '../arbitrary.ts'

const decode = (text: string): JsonValue | undefined => decodeJson(encodeUtf8(text))

test.each([
  ['null', null],
  ['true', true],
  ['false', false],
  ['0', 0],
  ['-0', 0],
  ['-1', -1],
  ['10', 10],
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ['-9007199254740991', -Number.MAX_SAFE_INTEGER],
  ['""', ''],
  [' \t\r\n1 \t\r\n', 1],
  ['"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\/\b\f\n\r\t'],
  ['"\\u0041\\u00e4\\uD83d\\uDE00"', 'Aä😀'],
  ['"\u007f\u2028"', '\u007f\u2028'],
  ['[]', []],
  ['[ ]', []],
  ['[1 , [2],"3"]', [1, [2], '3']],
  ['{}', new Map()],
  ['{ }', new Map()],
  [
    '{"a" : 1 ,"b":{"a":[]}}',
    new Map<string, JsonValue>([
      ['a', 1],
      ['b', new Map([['a', []]])],
    ]),
  ],
  ['{"__proto__":1}', new Map([['__proto__', 1]])],
  ['[[[[[[[[]]]]]]]]', [[[[[[[[]]]]]]]]],
])('%s is JSON', (text, expected) => {
  expect(decode(text)).toStrictEqual(expected)
})

test.each([
  '',
  ' ',
  '[',
  ']',
  '{',
  '}',
  '"',
  '"a',
  '[1',
  '[1,',
  '[1,]',
  '[,1]',
  '[1 2]',
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  '{,}',
  '{a:1}',
  '{1:1}',
  '{"a":1 "b":2}',
  '{"a":1,"a":2}',
  '{"a":1,"\\u0061":2}',
  "'a'",
  'nul',
  'nulll',
  'True',
  'NaN',
  'Infinity',
  '-',
  '+1',
  '.5',
  '1.',
  '1.5',
  '1e1',
  '1E1',
  '01',
  '-01',
  '0x1',
  '1_0',
  '9007199254740992',
  '-9007199254740992',
  '99999999999999999999',
  '"\\x41"',
  '"\\u12"',
  '"\\u12g4"',
  '"\\',
  '"\\a"',
  '"\n"',
  '"\u0000"',
  '"\\ud800"',
  '"\\ude00\\ud83d"',
  '"\\ud83d"',
  '{"\\ud800":1}',
  '1 2',
  '[]]',
  'null,',
  '\ufeff1',
  '\u00a01',
  '/**/1',
  '[[[[[[[[[]]]]]]]]]',
  '{"a":[[[[[[[[]]]]]]]]}',
  '[[[[[[[[{}]]]]]]]]',
])('%j is not JSON here', (text) => {
  expect(decode(text)).toBeUndefined()
})

test('bytes that are not UTF-8 are not JSON', () => {
  expect(decodeJson(Uint8Array.of(0x22, 0xff, 0x22))).toBeUndefined()
  expect(decodeJson(Uint8Array.of(0xef, 0xbb, 0xbf, 0x31))).toBeUndefined()
})

test('what is accepted means what JSON.parse says', () => {
  const scalar = fc.oneof(
    fc.maxSafeInteger(),
    fc.string({ unit: 'binary' }),
    fc.boolean(),
    fc.constant(null),
  )
  const { value: json } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      scalar,
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(fc.string({ unit: 'binary' }), tie('value'), { maxKeys: 5 }),
    ),
  }))
  fc.assert(
    fc.property(json, fc.nat({ max: 4 }), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent)
      expect(plain(decode(text))).toEqual(plain(JSON.parse(text)))
    }),
    runs(2000),
  )
})

test('any bytes are JSON or not, without another error, and never where JSON.parse refuses', () => {
  const part = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    '1',
    '-',
    'e',
    '.',
    ' ',
    'null',
    '"a"',
    '\\u',
    'd800',
  )
  const near = fc.array(part, { maxLength: 12 }).map((parts) => encodeUtf8(parts.join('')))
  let accepted = 0
  fc.assert(
    fc.property(fc.oneof(bytes, near), (given) => {
      const value = decodeJson(given)
      if (value === undefined) return
      accepted++
      expect(plain(value)).toEqual(plain(JSON.parse(Buffer.from(given).toString())))
    }),
    manyRuns,
  )
  expect(accepted).toBeGreaterThan(portion(100))
})

test('a text of four million characters is read, and refused in good time when it does not end', () => {
  const long = 'a'.repeat(portion(4_000_000))
  expect(decode(`"${long}"`)).toBe(long)
  expect(decode(`"${long}`)).toBeUndefined()
  expect(decode(`[${'"",'.repeat(portion(1_000_000))}""]`)).toHaveLength(portion(1_000_000) + 1)
  expect(decode('['.repeat(portion(4_000_000)))).toBeUndefined()
})

/** Without the order of members, and -0 as 0. */
function plain(value: unknown): unknown {
  if (value instanceof Map) return plainMembers([...value])
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null) return plainMembers(Object.entries(value))
  return value === 0 ? 0 : value
}

function plainMembers(members: readonly (readonly [string, unknown])[]): unknown {
  const pairs = members.map(([name, value]) => [name, plain(value)] as const)
  return { members: pairs.toSorted(([a], [b]) => (a < b ? -1 : 1)) }
}
