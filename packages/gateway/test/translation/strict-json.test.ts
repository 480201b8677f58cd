import { assert, jsonValue, property } from 'fast-check'
import { expect, test } from 'vitest'
import { holdsRoundedNumber, parseStrictJson } from '../../src/translation/strict-json.ts'

test('every JSON value that JavaScript writes is read as it is', () => {
  assert(
    property(jsonValue({ maxDepth: 6 }), (value) => {
      const text = JSON.stringify(value)
      const read = parseStrictJson(text)
      const hasLong = holdsRoundedNumber(JSON.parse(text)) || /"__proto__":/.test(text)
      if (hasLong) expect(read.kind).toBe('fault')
      else expect(read).toEqual({ kind: 'value', value: JSON.parse(text) })
    }),
    { seed: 20_261_121, numRuns: 500 },
  )
})

test.each([
  ['{"a":1,"a":2}', 'duplicate-member'],
  ['{"a":1,"\\u0061":2}', 'duplicate-member'],
  ['[{"b":{"a":1,"a":[]}}]', 'duplicate-member'],
  ['{"a":9007199254740993}', 'number-too-long'],
  ['{"a":[1,-9007199254740992]}', 'number-too-long'],
  ['1e400', 'number-too-long'],
  ['1e300', 'number-too-long'],
  ['{"__proto__":1}', 'member-name'],
  [`${'['.repeat(129)}${']'.repeat(129)}`, 'too-deep'],
  [`[${'{},'.repeat(50_000)}{}]`, 'too-many-values'],
  ['{"a":}', 'not-json'],
  ['', 'not-json'],
  ['{"a":"\\"', 'not-json'],
])('refuses %s', (text, fault) => {
  expect(parseStrictJson(text)).toEqual({ kind: 'fault', fault })
})

test.each([
  ['{"a":{"a":1},"b":["a","a"]}'],
  ['{"\\"":1,"\\\\":2,"\\\\\\"":3}'],
  ['[1.0,1e-7,-0.5,9007199254740991,1e2]'],
  ['{"a":"12345678901234567890 \\" {\\"a\\":1,\\"a\\":2}"}'],
  [`[${'1,'.repeat(99_000)}1]`],
  ['"x"'],
  ['null'],
])('takes %s', (text) => {
  expect(parseStrictJson(text)).toEqual({ kind: 'value', value: JSON.parse(text) })
})

test('a long text with many quotes takes no time to speak of', () => {
  const text = JSON.stringify({ a: '"\\'.repeat(200_000), b: 'x'.repeat(4_000_000) })
  const before = process.cpuUsage()
  expect(parseStrictJson(text).kind).toBe('value')
  expect(process.cpuUsage(before).user).toBeLessThan(2_000_000)
})

test('a number that was rounded is found at any depth', () => {
  expect(holdsRoundedNumber({ a: [{ b: 2 ** 53 }] })).toBe(true)
  expect(holdsRoundedNumber({ a: [{ b: 2 ** 53 - 1, c: 0.1, d: 'x', e: null }] })).toBe(false)
})
