import * as fc from 'fast-check'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import {
  encodeCoseSign1,
  judgeCoseSignature,
  keyId,
  parseCoseHeader,
  parseCoseSign1,
  signCoseSign1,
} from '@countersign/protocol/receipt/cose'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { expect, test } from 'vitest'
import { tagged, zeros } from '../../../../test/vectors/edits.ts'
import { seededSigner } from '../../../../test/vectors/signers.ts'
import { bytes, manyRuns, refusalOf } from '../arbitrary.ts'

const signer = seededSigner('cose')
const type = 'application/test'
const sign = (): Uint8Array => signCoseSign1(type, [[15, 'extra']], Uint8Array.of(1, 2, 3), signer)

test('what was signed is parsed, and the signature holds', async () => {
  const signed = sign()
  const parts = parseCoseSign1(signed, signed.length)
  expect(parts.payloadBytes).toEqual(Uint8Array.of(1, 2, 3))
  expect(encodeCoseSign1(parts)).toEqual(signed)
  expect(await judgeCoseSignature(parts, signer.publicKey)).toBeUndefined()
  const { kid, fields } = parseCoseHeader(parts.protectedBytes, type, [15])
  expect(kid).toEqual(keyId(signer.publicKey))
  expect(fields.value(15)).toBe('extra')
})

test('the signature is over the Sig_structure of RFC 9052', async () => {
  const signed = sign()
  const parts = parseCoseSign1(signed, signed.length)
  const message = encodeCbor(['Signature1', parts.protectedBytes, zeros(0), parts.payloadBytes])
  expect(parts.signature).toEqual(signer.sign(message))
  const moved = { ...parts, payloadBytes: parts.protectedBytes, protectedBytes: parts.payloadBytes }
  expect(await judgeCoseSignature(moved, signer.publicKey)).toBe('signature-invalid')
})

test('the key id is SHA-256 of the key', () => {
  expect(keyId(signer.publicKey)).toEqual(sha256(signer.publicKey))
})

test('the limit of its place is judged first, and included', () => {
  const signed = sign()
  expect(refusalOf(() => parseCoseSign1(signed, signed.length - 1))).toBe('cbor-too-large')
  expect(refusalOf(() => parseCoseSign1(zeros(9), 8))).toBe('cbor-too-large')
  expect(refusalOf(() => parseCoseSign1(zeros(8), 8))).toBe('cose-malformed')
})

const empty = new Map<number, number>()

test.each([
  ['no bytes', () => zeros(0), 'cose-malformed'],
  ['no tag', () => sign().slice(1), 'cose-malformed'],
  ['only a tag', () => Uint8Array.of(0xd2), 'cbor-truncated'],
  ['three parts', () => tagged([zeros(0), empty, zeros(0)]), 'cose-malformed'],
  ['five parts', () => tagged([zeros(0), empty, zeros(0), zeros(0), zeros(0)]), 'cose-malformed'],
  ['a map', () => tagged(empty), 'cose-malformed'],
  ['a header that is no bytes', () => tagged([1, empty, zeros(0), zeros(0)]), 'cose-malformed'],
  [
    'an unprotected header that is no map',
    () => tagged([zeros(0), [], zeros(0), zeros(0)]),
    'cose-malformed',
  ],
  ['a payload that is no bytes', () => tagged([zeros(0), empty, null, zeros(0)]), 'cose-malformed'],
  [
    'a signature that is no bytes',
    () => tagged([zeros(0), empty, zeros(0), 'a']),
    'cose-malformed',
  ],
  [
    'an unprotected header',
    () => tagged([zeros(0), new Map([[1, 1]]), zeros(0), zeros(0)]),
    'cose-unprotected-not-empty',
  ],
  [
    'a structure fault beside an unprotected header',
    () => tagged([zeros(0), new Map([[1, 1]]), 1, zeros(0)]),
    'cose-malformed',
  ],
  ['bytes after it', () => concatBytes(sign(), Uint8Array.of(0)), 'cbor-trailing-bytes'],
] as const)('a COSE_Sign1 with %s is refused', (_, make, code) => {
  expect(refusalOf(() => parseCoseSign1(make(), 8192))).toBe(code)
})

const good: readonly (readonly [number, number | string | Uint8Array])[] = [
  [1, -7],
  [3, type],
  [4, zeros(32)],
]
const header = (
  ...changed: readonly (readonly [number, number | string | Uint8Array])[]
): Uint8Array => encodeCbor(new Map([...good, ...changed]))
const parse = (given: Uint8Array): unknown => parseCoseHeader(given, type, [])

test.each([
  ['no bytes', () => zeros(0), 'cbor-truncated'],
  ['an array', () => encodeCbor([]), 'cose-header-malformed'],
  ['no alg', () => encodeCbor(new Map(good.slice(1))), 'cose-header-malformed'],
  ['another alg', () => header([1, -8]), 'cose-algorithm-unsupported'],
  ['another alg and one key more', () => header([1, -8], [9, 9]), 'cose-algorithm-unsupported'],
  ['one key more', () => header([9, 9]), 'cose-header-malformed'],
  ['another content type', () => header([3, 'application/tesT']), 'cose-header-malformed'],
  ['a kid of 31 bytes', () => header([4, zeros(31)]), 'cose-header-malformed'],
  ['a kid of 33 bytes', () => header([4, zeros(33)]), 'cose-header-malformed'],
] as const)('a header with %s is refused', (_, make, code) => {
  expect(refusalOf(() => parse(header()))).toBeUndefined()
  expect(refusalOf(() => parse(make()))).toBe(code)
})

test('any bytes behind a tag are parsed to themselves or refused by name', () => {
  fc.assert(
    fc.property(bytes, (given) => {
      const input = concatBytes(Uint8Array.of(0xd2), given)
      const code = refusalOf(() => parseCoseSign1(input, 8192))
      expect(code ?? 'cose-').toMatch(/^(?:cose|cbor)-/)
    }),
    manyRuns,
  )
})
