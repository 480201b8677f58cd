import * as fc from 'fast-check'
import { decodeCbor, decodeForeignCbor } from '@countersign/protocol/bytes/cbor-decode'
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import { expect, test } from 'vitest'
import { bytes, cborValue, hex, manyRuns, portion, refusalOf } from '../arbitrary.ts'

const decode = (input: string): unknown => decodeForeignCbor(hex(input), 100)

test('keys come in any order, as do integers among texts', () => {
  expect(decode('a3616201016161200a')).toEqual(
    new Map<number | string, unknown>([
      ['b', 1],
      [1, 'a'],
      [-1, 10],
    ]),
  )
})

test('maps and arrays can have the indefinite form, also inside one another', () => {
  expect(decode('bfff')).toEqual(new Map())
  expect(decode('9fff')).toEqual([])
  expect(decode('bf6162820102616183f6f4f5ff')).toEqual(
    new Map([
      ['b', [1, 2]],
      ['a', [null, false, true]],
    ]),
  )
  expect(decode('9fbf0001ff9fff40ff')).toEqual([new Map([[0, 1]]), [], hex('')])
})

test.each([
  ['equal keys that stand side by side', 'a201000100', 'cbor-duplicate-key'],
  ['equal keys that stand apart', 'bf010002000100ff', 'cbor-duplicate-key'],
  ['a longer head than needed', '1801', 'cbor-not-canonical'],
  ['a longer length than needed', '580101', 'cbor-not-canonical'],
  ['a byte string in pieces', '5f4101ff', 'cbor-not-canonical'],
  ['a text in pieces', '7f6161ff', 'cbor-not-canonical'],
  ['a break on its own', 'ff', 'cbor-not-canonical'],
  ['a break in an array of known length', '8201ff', 'cbor-not-canonical'],
  ['a break in place of a value', 'bf01ff', 'cbor-not-canonical'],
  ['a map of indefinite length as a key', 'bfbfff01ff', 'cbor-not-canonical'],
  ['reserved additional information', '9c', 'cbor-not-canonical'],
  ['a tag', 'd28401', 'cbor-unsupported-type'],
  ['a float', 'f90000', 'cbor-unsupported-type'],
  ['no break at the end', 'bf0102', 'cbor-truncated'],
  ['a byte behind', 'bfff00', 'cbor-trailing-bytes'],
  ['nine levels', '9f9f9f9f9f9f9f9f9fffffffffffffffffff', 'cbor-too-deep'],
])('refuses %s', (_, input, code) => {
  expect(refusalOf(() => decode(input))).toBe(code)
})

test('refuses what is larger than the limit', () => {
  expect(refusalOf(() => decodeForeignCbor(hex('bfff'), 1))).toBe('cbor-too-large')
})

test('what ST1 decodes has the same value here', () => {
  fc.assert(
    fc.property(cborValue, (value) => {
      const given = encodeCbor(value)
      expect(decodeForeignCbor(given, given.length)).toEqual(decodeCbor(given, given.length))
    }),
    manyRuns,
  )
})

test('any bytes are decoded or refused by name', () => {
  let decoded = 0
  const attempt = (given: Uint8Array): void => {
    const code = refusalOf(() => {
      decodeForeignCbor(given, given.length)
      decoded++
    })
    expect(code ?? 'cbor-').toMatch(/^cbor-/)
  }
  fc.assert(fc.property(bytes, attempt), manyRuns)
  expect(decoded).toBeGreaterThan(portion(50))
})
