import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { openMap, textOf, type MapReader } from '@countersign/protocol/bytes/map-reader'
import { expect, test } from 'vitest'
import { refusalOf } from '../arbitrary.ts'

const code = 'payload-malformed'
const map = new Map<number | string, CborValue>([
  [1, 5],
  [2, Uint8Array.of(1, 2, 3)],
  [3, 'äb'],
  [4, [1, 2]],
  ['n', null],
])
const open = (): MapReader => openMap(map, [1, 2, 3, 4], ['n', 9], code)

test('opens a map with all required keys and any of the optional ones', () => {
  const fields = open()
  expect(fields.has('n')).toBe(true)
  expect(fields.has(9)).toBe(false)
  expect(fields.value('n')).toBeNull()
  expect(fields.value(1)).toBe(5)
})

test('refuses what is no map, lacks a key or has one more', () => {
  for (const value of [undefined, null, 1, 'a', [], new Uint8Array(0)]) {
    expect(refusalOf(() => openMap(value, [], [], code))).toBe(code)
  }
  expect(refusalOf(() => openMap(map, [1, 2, 3, 4], [], code))).toBe(code)
  expect(refusalOf(() => openMap(map, [1, 2, 3, 4, 5], ['n'], code))).toBe(code)
  expect(refusalOf(() => openMap(map, [1, 2, 3, 5, 'n'], [], code))).toBe(code)
  expect(openMap(new Map(), [], [], code).has(1)).toBe(false)
})

test('refuses with the code that it was given', () => {
  expect(refusalOf(() => openMap(1, [], [], 'claim-schema'))).toBe('claim-schema')
  expect(refusalOf(() => openMap(map, [1], [2, 3, 4, 'n'], 'claim-schema').text(1, 0, 9))).toBe(
    'claim-schema',
  )
})

test('refuses a value that is absent', () => {
  const fields = open()
  expect(refusalOf(() => fields.value(9))).toBe(code)
})

test('integers lie within their bounds, zero and the largest by default', () => {
  const fields = open()
  expect(fields.integer(1)).toBe(5)
  expect(fields.integer(1, 5, 5)).toBe(5)
  expect(refusalOf(() => fields.integer(1, 6))).toBe(code)
  expect(refusalOf(() => fields.integer(1, 0, 4))).toBe(code)
  expect(refusalOf(() => fields.integer(3))).toBe(code)
  expect(refusalOf(() => openMap(new Map([[1, -1]]), [1], [], code).integer(1))).toBe(code)
  expect(openMap(new Map([[1, 0]]), [1], [], code).integer(1)).toBe(0)
})

test('byte strings, texts and arrays have a size within their bounds, both ends included', () => {
  const fields = open()
  expect(fields.bytes(2, 3, 3)).toEqual(Uint8Array.of(1, 2, 3))
  expect(refusalOf(() => fields.bytes(2, 4, 9))).toBe(code)
  expect(refusalOf(() => fields.bytes(2, 0, 2))).toBe(code)
  expect(refusalOf(() => fields.bytes(4, 0, 9))).toBe(code)
  expect(fields.text(3, 3, 3)).toBe('äb')
  expect(refusalOf(() => fields.text(3, 4, 9))).toBe(code)
  expect(refusalOf(() => fields.text(3, 0, 2))).toBe(code)
  expect(refusalOf(() => fields.text(2, 0, 9))).toBe(code)
  expect(fields.array(4, 2, 2)).toEqual([1, 2])
  expect(refusalOf(() => fields.array(4, 3, 9))).toBe(code)
  expect(refusalOf(() => fields.array(4, 0, 1))).toBe(code)
  expect(refusalOf(() => fields.array(2, 0, 9))).toBe(code)
})

test('the size of a text counts bytes of UTF-8', () => {
  expect(textOf('ü', 2, 2)).toBe('ü')
  expect(textOf('ü', 0, 1)).toBeUndefined()
  expect(textOf('', 0, 0)).toBe('')
  expect(textOf(5, 0, 9)).toBeUndefined()
})
