import * as fc from 'fast-check'
import {
  fromBase64url,
  fromHex,
  toBase64url,
  toHex,
} from '@countersign/protocol/bytes/text-encoding'
import { expect, test } from 'vitest'
import { bytes, manyRuns, portion } from '../arbitrary.ts'

test('base64url and hex are those of Node, and come back', () => {
  fc.assert(
    fc.property(bytes, (given) => {
      const buffer = Buffer.from(given)
      expect(toBase64url(given)).toBe(buffer.toString('base64url'))
      expect(fromBase64url(toBase64url(given))).toEqual(given)
      expect(toHex(given)).toBe(buffer.toString('hex'))
      expect(fromHex(toHex(given))).toEqual(given)
    }),
  )
})

test('one text for one byte string: what is accepted encodes to the same text', () => {
  const character = fc.constantFrom(
    ...Array.from('AQgwBZaz09-_'),
    '=',
    '+',
    '/',
    ' ',
    'é',
    '\ud800',
  )
  const texts = fc.array(character, { maxLength: 9 }).map((parts) => parts.join(''))
  let accepted = 0
  fc.assert(
    fc.property(texts, (text) => {
      const decoded = fromBase64url(text)
      if (decoded === undefined) return
      accepted++
      expect(toBase64url(decoded)).toBe(text)
    }),
    manyRuns,
  )
  expect(accepted).toBeGreaterThan(portion(500))
})

test.each([
  'A',
  'AAAAA',
  'AB',
  'AAB',
  'AA==',
  'AA=',
  '+AAA',
  '/AAA',
  'AA A',
  'AAA\n',
  'ÄAAA',
  'AAA\u0141',
  '.',
])('%j is not base64url', (text) => {
  expect(fromBase64url(text)).toBeUndefined()
})

test.each(['0', '000', 'AA', 'aA', '0g', 'g0', '0x', ' 0', '０0', '0０'])(
  '%j is not lower-case hex',
  (text) => {
    expect(fromHex(text)).toBeUndefined()
  },
)

test('both encode nothing as nothing', () => {
  expect([toBase64url(new Uint8Array(0)), toHex(new Uint8Array(0))]).toEqual(['', ''])
  expect([fromBase64url(''), fromHex('')]).toEqual([new Uint8Array(0), new Uint8Array(0)])
})
