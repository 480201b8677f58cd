import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { decodeCbor } from '@countersign/protocol/bytes/cbor-decode'
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import { expect, test } from 'vitest'
import { bytes, cborValue, hex, manyRuns, portion, refusalOf } from '../arbitrary.ts'
import type { CborCase } from '../../../../test/vectors/cases/cbor.ts'

const vectors: readonly CborCase[] = JSON.parse(
  readFileSync(new URL('../../../../vectors/cbor.json', import.meta.url), 'utf8'),
)

test('there are vectors of both kinds', () => {
  expect(vectors.filter(({ expect: outcome }) => 'ok' in outcome).length).toBeGreaterThan(30)
  expect(vectors.filter(({ expect: outcome }) => 'code' in outcome).length).toBeGreaterThan(60)
})

test.each(vectors)('ST1: $name', ({ input, limitBytes, expect: outcome }) => {
  const given = hex(input)
  if ('code' in outcome) expect(refusalOf(() => decodeCbor(given, limitBytes))).toBe(outcome.code)
  else expect(encodeCbor(decodeCbor(given, limitBytes))).toEqual(given)
})

test('any bytes are decoded or refused by name, and what is decoded encodes to the same bytes', () => {
  let decoded = 0
  const decode = (given: Uint8Array): void => {
    const code = refusalOf(() => {
      const value = decodeCbor(given, given.length)
      decoded++
      expect(encodeCbor(value)).toEqual(given)
    })
    expect(code ?? 'cbor-').toMatch(/^cbor-/)
  }
  fc.assert(fc.property(bytes, decode), manyRuns)
  expect(decoded).toBeGreaterThan(portion(50))
})

test('one changed byte of valid input is decoded to itself or refused', () => {
  fc.assert(
    fc.property(cborValue, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, place, change) => {
      const given = encodeCbor(value)
      const index = place % given.length
      given[index] = (given[index] ?? 0) ^ change
      refusalOf(() => {
        expect(encodeCbor(decodeCbor(given, given.length))).toEqual(given)
      })
    }),
    manyRuns,
  )
})

test('a decoded value shares no bytes with the input, even when that is a Buffer', () => {
  const input = Buffer.from('8144deadbeef', 'hex')
  const decoded = decodeCbor(input, 10)
  input.fill(0)
  expect(decoded).toEqual([hex('deadbeef')])
})

test('a member named __proto__ is an ordinary key', () => {
  const decoded = decodeCbor(hex('a1695f5f70726f746f5f5f81f5'), 100)
  expect(decoded).toEqual(new Map([['__proto__', [true]]]))
})

test('huge announced lengths are refused without allocating them', () => {
  for (const input of [
    '5affffffff',
    '7affffffff',
    '9affffffff',
    'baffffffff',
    '9bffffffffffffffff',
  ]) {
    expect(refusalOf(() => decodeCbor(hex(input), 100))).toBe('cbor-truncated')
  }
})
