import * as fc from 'fast-check'
import { decodeCbor } from '@countersign/protocol/bytes/cbor-decode'
import {
  encodeCbor,
  encodeSaltedCbor,
  defineCborRecord,
  isCborArray,
  isCborMap,
  type CborKey,
  type CborValue,
} from '@countersign/protocol/bytes/cbor-encode'
import { expect, test } from 'vitest'
import { cborValue, hex, runs } from '../arbitrary.ts'

test('every value survives encoding and strict decoding', () => {
  fc.assert(
    fc.property(cborValue, (value) => {
      const encoded = encodeCbor(value)
      const decoded = decodeCbor(encoded, encoded.length)
      expect(encodeCbor(decoded)).toEqual(encoded)
      expect(sorted(decoded)).toEqual(sorted(value))
    }),
    runs(2000),
  )
})

test.each([
  [0, '00'],
  [23, '17'],
  [24, '1818'],
  [255, '18ff'],
  [256, '190100'],
  [65_535, '19ffff'],
  [65_536, '1a00010000'],
  [4_294_967_295, '1affffffff'],
  [4_294_967_296, '1b0000000100000000'],
  [Number.MAX_SAFE_INTEGER, '1b001fffffffffffff'],
  [-1, '20'],
  [-24, '37'],
  [-25, '3818'],
  [-Number.MAX_SAFE_INTEGER, '3b001ffffffffffffe'],
  [-0, '00'],
])('the integer %d has the shortest form %s', (value, expected) => {
  expect(encodeCbor(value)).toEqual(hex(expected))
})

test.each([1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -(2 ** 53)])(
  'refuses to encode the number %d',
  (value) => {
    expect(() => encodeCbor(value)).toThrow(RangeError)
    expect(() => encodeCbor([value])).toThrow('not an integer of magnitude below 2^53')
  },
)

test('simple values and strings have their own first bytes', () => {
  expect(encodeCbor([false, true, null, '', new Uint8Array(0)])).toEqual(hex('85f4f5f66040'))
})

test('text is UTF-8 whether short or long, in ASCII or not', () => {
  for (const text of [
    'ü',
    'a'.repeat(127),
    'a'.repeat(128),
    'a'.repeat(129),
    '\u007f\u0080',
    '😀'.repeat(90),
  ]) {
    const utf8 = Buffer.from(text)
    expect(Buffer.from(encodeCbor(text)).subarray(-utf8.length).equals(utf8), text).toBe(true)
    expect(decodeCbor(encodeCbor(text), 1000)).toBe(text)
  }
})

test('the order of insertion of a map does not matter', () => {
  const entries: (readonly [CborKey, CborValue])[] = [
    [0, 'a'],
    [23, new Map([[1, new Map([[2, 3]])]])],
    [24, null],
    [-1, []],
    ['', true],
    ['b', 'b'],
    ['aa', new Uint8Array(300)],
    ['ü', 2],
  ]
  const expected = encodeCbor(new Map(entries))
  fc.assert(
    fc.property(fc.shuffledSubarray(entries, { minLength: entries.length }), (shuffled) => {
      expect(encodeCbor(['before', new Map(shuffled), 'after'])).toEqual(
        encodeCbor(['before', new Map(entries), 'after']),
      )
      expect(encodeCbor(new Map(shuffled))).toEqual(expected)
    }),
  )
})

const keys = (...given: readonly string[]): CborValue => new Map(given.map((key) => [key, 1]))

test('refuses keys with unpaired surrogates: two of them could encode alike', () => {
  expect(() => encodeCbor(keys('\ud800', '\ufffd'))).toThrow('a text with unpaired surrogates')
  expect(() => encodeCbor(keys('a', '\udfff'))).toThrow(RangeError)
})

test('salted claims are each the prefix, the salt, the name and the value', () => {
  const values = ['a', new Uint8Array(700), [1, new Map([[1, null]])], 5]
  const claims = values.map((value, index) => [`claim ${index} ü`, value] as const)
  const salts = Uint8Array.from({ length: 4 * 32 }, (_, index) => index)
  const encoded = encodeSaltedCbor(0x2a, salts, claims)
  expect(encoded.map((bytes) => bytes[0])).toEqual([0x2a, 0x2a, 0x2a, 0x2a])
  expect(encoded.map((bytes) => Buffer.from(bytes.subarray(1)))).toEqual(
    claims.map(([name, value], index) =>
      Buffer.from(encodeCbor([salts.subarray(32 * index, 32 * index + 32), name, value])),
    ),
  )
  expect(encodeSaltedCbor(0, new Uint8Array(0), [])).toEqual([])
})

test('a record is encoded as the map of its keys and values', () => {
  const outer = defineCborRecord('a', 'ü', 'longer')
  const inner = defineCborRecord('z')
  for (const value of [0, 'text', null, true, new Uint8Array(300), [1, 'x']] as const) {
    const map = new Map<string, CborValue>([
      ['a', value],
      ['ü', new Map([['z', value]])],
      ['longer', -1],
    ])
    expect(encodeCbor(outer(value, inner(value), -1))).toEqual(encodeCbor(map))
  }
  expect(encodeCbor(defineCborRecord()())).toEqual(encodeCbor(new Map()))
})

test('refuses to define a record whose keys are not in ascending order, or not distinct', () => {
  expect(() => defineCborRecord('longer', 'a')).toThrow(RangeError)
  expect(() => defineCborRecord('b', 'a')).toThrow('keys out of order')
  expect(() => defineCborRecord('a', 'a')).toThrow('keys out of order')
})

test('maps and arrays are told apart', () => {
  expect([isCborMap(new Map()), isCborMap([]), isCborMap(undefined)]).toEqual([true, false, false])
  expect([isCborArray([]), isCborArray(new Map()), isCborArray(null)]).toEqual([true, false, false])
})

test('whatever was written before, there is room for the next item', () => {
  const items = ['short', 'ü', 2 ** 40, true, -1, new Uint8Array(3), 'b'.repeat(200)] as const
  for (let filled = 0; filled < 1100; filled++) {
    for (const item of items) {
      const value = [new Uint8Array(filled), item]
      expect(decodeCbor(encodeCbor(value), 2000)).toEqual(value)
    }
  }
})

/** Maps compared by content: the order of insertion of the original may differ. */
function sorted(value: CborValue): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (isCborArray(value)) return value.map(sorted)
  if (!isCborMap(value)) return Object.is(value, -0) ? 0 : value
  const pairs = Array.from(value, ([key, item]) => [`${typeof key} ${key}`, sorted(item)] as const)
  return { map: pairs.toSorted(([a], [b]) => (a < b ? -1 : 1)) }
}
