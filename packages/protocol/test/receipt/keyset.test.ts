import * as fc from 'fast-check'
import { encodeCbor, type CborKey, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import {
  encodeKeyset,
  maxKeysetLifetimeMs,
  parseKeyset,
  type Keyset,
} from '@countersign/protocol/receipt/keyset'
import { expect, test } from 'vitest'
import { editCbor, type Edit } from '../../../../test/vectors/forge.ts'
import { add, remove, set, zeros } from '../../../../test/vectors/edits.ts'
import { bytes, cborValue, manyRuns, refusalOf } from '../arbitrary.ts'

const small: Keyset = {
  issuer: 'gateway.example',
  receiptKey: zeros(64).fill(1),
  notBeforeMs: 1000,
  notAfterMs: 1000 + maxKeysetLifetimeMs,
  configDigest: zeros(32).fill(2),
  buildDigest: zeros(32).fill(3),
}
const full: Keyset = {
  ...small,
  previousKeysetDigest: zeros(32).fill(4),
  payees: [{ network: 'eip155:1', asset: '0xa', address: '0xb' }],
  settlementAddress: '0xc',
  tlsSpki: zeros(32).fill(5),
  hpkeKey: zeros(32).fill(6),
  upstreams: ['a.example', 'b.example:1'],
  termsDigest: zeros(32).fill(7),
  otherChargeKeys: ['0xd', '0xc'],
}
const hosts = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `h${index + 10}`)
const payee = (address: string): Map<CborKey, CborValue> =>
  new Map([
    [1, 'n'],
    [2, 'a'],
    [3, address],
  ])

test.each([small, full, { ...small, payees: [] }])('a keyset survives encoding', (keyset) => {
  expect(parseKeyset(encodeKeyset(keyset))).toStrictEqual(keyset)
})

const refused: readonly (readonly [string, Edit])[] = [
  ['another version', set(1, 2)],
  ['no issuer', set(2, '')],
  ['an issuer of 256 bytes', set(2, 'i'.repeat(256))],
  ['a key of 63 bytes', set(3, zeros(63))],
  ['a key of 65 bytes', set(3, zeros(65))],
  ['a not-before as text', set(4, '0')],
  ['a negative not-after', set(5, -1)],
  ['a configuration digest of 31 bytes', set(6, zeros(31))],
  ['a configuration digest of 33 bytes', set(6, zeros(33))],
  ['a build digest of 31 bytes', set(7, zeros(31))],
  ['a build digest of 33 bytes', set(7, zeros(33))],
  ['a previous digest of 31 bytes', set(8, zeros(31))],
  ['a previous digest of 33 bytes', set(8, zeros(33))],
  [
    'nine payees',
    set(
      9,
      Array.from({ length: 9 }, () => payee('a')),
    ),
  ],
  ['a payee that is no map', set(9, ['a'])],
  ['a payee with one key more', set(9, [payee('a').set(4, 'a')])],
  [
    'a payee without an address',
    set(9, [
      new Map([
        [1, 'n'],
        [2, 'a'],
      ]),
    ]),
  ],
  ['an empty network', set(9, [payee('a').set(1, '')])],
  ['a network of 129 bytes', set(9, [payee('a').set(1, 'n'.repeat(129))])],
  ['an empty asset', set(9, [payee('a').set(2, '')])],
  ['an asset of 129 bytes', set(9, [payee('a').set(2, 'n'.repeat(129))])],
  ['an empty address', set(9, [payee('')])],
  ['an address of 129 bytes', set(9, [payee('n'.repeat(129))])],
  ['an empty settlement address', set(10, '')],
  ['a settlement address of 129 bytes', set(10, 'n'.repeat(129))],
  ['a TLS key of 31 bytes', set(11, zeros(31))],
  ['a TLS key of 33 bytes', set(11, zeros(33))],
  ['an HPKE key of 31 bytes', set(12, zeros(31))],
  ['an HPKE key of 33 bytes', set(12, zeros(33))],
  ['no upstreams in a list', set(13, [])],
  ['33 upstreams', set(13, hosts(33))],
  ['an upstream of 256 bytes', set(13, ['h'.repeat(256)])],
  ['an empty upstream', set(13, [''])],
  ['upstreams in another order', set(13, ['b', 'a'])],
  ['an upstream twice', set(13, ['a', 'a'])],
  ['a digest of terms of 31 bytes', set(14, zeros(31))],
  ['a digest of terms of 33 bytes', set(14, zeros(33))],
  ['no other charge key in a list', set(15, [])],
  ['nine other charge keys', set(15, hosts(9))],
  ['an empty charge key', set(15, [''])],
  ['a charge key of 129 bytes', set(15, ['k'.repeat(129)])],
  ['a charge key twice', set(15, ['a', 'a'])],
  ['an unknown key', set(16, zeros(32))],
  ...[1, 2, 3, 4, 5, 6, 7].map((key) => [`no key ${key}`, remove(key)] as const),
]

test.each(refused)('a keyset with %s is malformed', (_, edit) => {
  expect(refusalOf(() => parseKeyset(editCbor(encodeKeyset(full), edit)))).toBe('keyset-malformed')
})

test.each([
  ['an issuer of 255 bytes', set(2, 'i'.repeat(255))],
  ['an issuer of one byte', set(2, 'i')],
  [
    'eight payees',
    set(
      9,
      Array.from({ length: 8 }, () => payee('n'.repeat(128))),
    ),
  ],
  ['a settlement address of 128 bytes', set(10, 'n'.repeat(128))],
  ['32 upstreams', set(13, hosts(32))],
  ['an upstream of 255 bytes', set(13, ['h'.repeat(255)])],
  ['eight other charge keys', set(15, hosts(8))],
  ['a charge key of 128 bytes', set(15, ['k'.repeat(128)])],
  ['a life of one millisecond', set(5, 1001)],
] as const)('a keyset with %s is taken', (_, edit) => {
  expect(refusalOf(() => parseKeyset(editCbor(encodeKeyset(full), edit)))).toBeUndefined()
})

test.each([
  ['no life', set(5, 1000)],
  ['an end before its beginning', set(5, 999)],
  ['a millisecond more than a day', add(5, 1)],
] as const)('a keyset with %s is refused for its lifetime', (_, edit) => {
  expect(refusalOf(() => parseKeyset(editCbor(encodeKeyset(small), edit)))).toBe('keyset-lifetime')
})

const edit: Edit = (fields) => fields.set(5, 0).set(10, '')

test('form is judged before lifetime', () => {
  expect(refusalOf(() => parseKeyset(editCbor(encodeKeyset(full), edit)))).toBe('keyset-malformed')
})

test('a document has at most 4,096 bytes, and its refusal keeps the reason', () => {
  expect(() => parseKeyset(zeros(4097))).toThrow(
    expect.objectContaining({
      code: 'keyset-malformed',
      cause: expect.objectContaining({ code: 'cbor-too-large' }),
    }),
  )
  expect(() => parseKeyset(zeros(4096))).toThrow(
    expect.objectContaining({ cause: expect.objectContaining({ code: 'cbor-trailing-bytes' }) }),
  )
})

test('any bytes are a keyset or refused by name', () => {
  const near = fc
    .tuple(fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), cborValue)
    .map(([key, value]) => editCbor(encodeKeyset(full), set(key, value)))
  fc.assert(
    fc.property(fc.oneof(bytes, near), (given) => {
      const code = refusalOf(() => {
        const keyset = parseKeyset(given)
        expect(encodeKeyset(keyset)).toEqual(given)
      })
      expect(code ?? 'keyset-').toMatch(/^keyset-(?:|malformed|lifetime)$/)
    }),
    manyRuns,
  )
  expect(encodeCbor(1)).toEqual(Uint8Array.of(1))
})
