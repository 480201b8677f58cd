import * as fc from 'fast-check'
import {
  compareBytes,
  compareTexts,
  concatBytes,
  copyBytes,
  decodeUtf8,
  encodeUtf8,
  equalBytes,
  utf8Length,
} from '@countersign/protocol/bytes/byte-string'
import { expect, test } from 'vitest'
import { bytes, runs, text } from '../arbitrary.ts'

test('byte strings compare as Node compares them', () => {
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b))
      expect(equalBytes(a, b)).toBe(Buffer.compare(a, b) === 0)
      expect(equalBytes(a, Uint8Array.from(a))).toBe(true)
    }),
  )
})

test('a prefix comes before what it begins', () => {
  expect(compareBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBeLessThan(0)
  expect(compareBytes(Uint8Array.of(1, 2, 0), Uint8Array.of(1, 2))).toBeGreaterThan(0)
  expect(compareBytes(Uint8Array.of(2), Uint8Array.of(1, 9))).toBeGreaterThan(0)
})

test('texts compare as their UTF-8 does', () => {
  const near = fc.constantFrom('a', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}', 'ü', '')
  const close = fc.array(near, { maxLength: 4 }).map((parts) => parts.join(''))
  const any = fc.oneof(text, close)
  fc.assert(
    fc.property(any, any, (a, b) => {
      const expected = Buffer.compare(Buffer.from(a), Buffer.from(b))
      expect(Math.sign(compareTexts(a, b))).toBe(expected)
    }),
    runs(2000),
  )
})

test('parts are joined in order into new bytes', () => {
  const part = Uint8Array.of(1, 2)
  const joined = concatBytes(part, new Uint8Array(0), Uint8Array.of(3))
  expect(joined).toEqual(Uint8Array.of(1, 2, 3))
  part[0] = 9
  expect(joined).toEqual(Uint8Array.of(1, 2, 3))
  expect(concatBytes()).toEqual(new Uint8Array(0))
})

test('a copy of a Buffer shares nothing with it', () => {
  const buffer = Buffer.from([1, 2, 3, 4])
  const copy = copyBytes(buffer, 1, 3)
  buffer[1] = 9
  expect(copy).toEqual(Uint8Array.of(2, 3))
  expect(Buffer.isBuffer(copy)).toBe(false)
})

test('text survives UTF-8 and back, byte order marks included', () => {
  fc.assert(fc.property(text, (given) => decodeUtf8(encodeUtf8(given)) === given))
  expect(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe('\ufeffa')
})

test('what is not UTF-8 is no text', () => {
  expect(decodeUtf8(Uint8Array.of(0xff))).toBeUndefined()
  expect(decodeUtf8(Uint8Array.of(0xed, 0xa0, 0x80))).toBeUndefined()
})

test('the length of UTF-8 is known without encoding', () => {
  fc.assert(fc.property(text, (given) => utf8Length(given) === encodeUtf8(given).length))
  expect(
    ['', '\u007f', '\u0080', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\uffff', '😀'].map(
      utf8Length,
    ),
  ).toEqual([0, 1, 2, 2, 3, 3, 3, 3, 4])
  for (const bad of [
    '\ud83d',
    'a\ud83d',
    '\ud83da',
    '\ude00',
    '\ude00\ud83d',
    '\ud83d\ud83d\ude00',
    '\udbff\ue000',
    '\udc00\udc00',
  ]) {
    expect(() => utf8Length(bad), bad).toThrow('a text with unpaired surrogates')
  }
})

test('texts in this order are in the order of their UTF-8', () => {
  const ordered = [
    '',
    'a',
    'aa',
    'ab',
    'b',
    '\u007f',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '\ud800\udc00',
    '\u{10ffff}',
  ]
  for (const [first, a] of ordered.entries()) {
    for (const [second, b] of ordered.entries()) {
      expect(Math.sign(compareTexts(a, b)), `${first} ${second}`).toBe(Math.sign(first - second))
    }
  }
})
