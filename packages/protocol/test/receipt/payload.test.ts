import * as fc from 'fast-check'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import {
  checkKeysetPayload,
  encodePayload,
  parsePayload,
  type CallPayload,
  type KeysetPayload,
} from '@countersign/protocol/receipt/payload'
import { expect, test } from 'vitest'
import { remove, set, zeros } from '../../../../test/vectors/edits.ts'
import { editCbor, type Edit } from '../../../../test/vectors/forge.ts'
import { exactCharge } from '../../../../test/vectors/sample-call.ts'
import { bytes, cborValue, manyRuns, refusalOf } from '../arbitrary.ts'

const receipt: CallPayload = {
  type: 'receipt',
  id: zeros(16).fill(1),
  sequence: 7,
  previous: zeros(32).fill(2),
  keysetDigest: zeros(32).fill(3),
  timeMs: 1_800_000_000_000,
  nonce: Uint8Array.of(1),
  charge: exactCharge(10n),
  claimsRoot: zeros(32).fill(4),
  claimsCount: 64,
}
const { nonce: _, ...withoutNonce } = receipt
const document = Uint8Array.of(1, 2)
const keyset: KeysetPayload = {
  type: 'keyset',
  id: zeros(16),
  sequence: 0,
  previous: zeros(32),
  keysetDigest: sha256(document),
  timeMs: 0,
  document,
}

test.each([receipt, withoutNonce, { ...receipt, type: 'refusal' as const }, keyset])(
  'the payload of a $type survives encoding',
  (payload) => {
    expect(parsePayload(encodePayload(payload))).toStrictEqual(payload)
  },
)

const parseEdited = (payload: CallPayload | KeysetPayload, edit: Edit): string | undefined =>
  refusalOf(() => parsePayload(editCbor(encodePayload(payload), edit)))

test('version is judged before type, type before the rest', () => {
  expect(parseEdited(receipt, (fields) => fields.set(1, 2).set(2, 9))).toBe(
    'payload-version-unsupported',
  )
  expect(parseEdited(receipt, remove(1))).toBe('payload-version-unsupported')
  expect(parseEdited(receipt, (fields) => fields.set(2, 9).set(3, 0))).toBe(
    'payload-type-unsupported',
  )
  expect(parseEdited(receipt, remove(2))).toBe('payload-type-unsupported')
  for (const type of [0, 4, 5, 6, 7, 8]) {
    expect(parseEdited(receipt, set(2, type))).toBe('payload-type-unsupported')
  }
})

const malformed: readonly (readonly [string, Edit])[] = [
  ...[3, 4, 5, 6, 7, 9, 10, 11].map((key) => [`no key ${key}`, remove(key)] as const),
  ['an id of 15 bytes', set(3, zeros(15))],
  ['an id of 17 bytes', set(3, zeros(17))],
  ['a negative sequence', set(4, -1)],
  ['a previous digest of 31 bytes', set(5, zeros(31))],
  ['a previous digest of 33 bytes', set(5, zeros(33))],
  ['a keyset digest of 31 bytes', set(6, zeros(31))],
  ['a keyset digest of 33 bytes', set(6, zeros(33))],
  ['a time as text', set(7, '')],
  ['an empty nonce', set(8, zeros(0))],
  ['a nonce of 65 bytes', set(8, zeros(65))],
  ['null for a nonce', set(8, null)],
  ['no real charge', set(9, new Map())],
  ['a root of 31 bytes', set(10, zeros(31))],
  ['a root of 33 bytes', set(10, zeros(33))],
  ['no claims', set(11, 0)],
  ['65 claims', set(11, 65)],
  ['a document', set(12, zeros(1))],
]

test.each(malformed)('the payload of a receipt with %s is malformed', (_name, edit) => {
  expect(parseEdited(receipt, edit)).toBe('payload-malformed')
})

test.each([
  ['no document', remove(12)],
  ['a document as text', set(12, '')],
  ['a nonce', set(8, zeros(1))],
  ['a charge', set(9, new Map())],
  ['a claims root', set(10, zeros(32))],
  ['a claims count', set(11, 1)],
] as const)('the payload of a keyset with %s is malformed', (_name, edit) => {
  expect(parseEdited(keyset, edit)).toBe('payload-malformed')
})

test('a payload that is no map is malformed, and one that is no CBOR is refused as that', () => {
  expect(refusalOf(() => parsePayload(Uint8Array.of(0x80)))).toBe('payload-malformed')
  expect(refusalOf(() => parsePayload(zeros(0)))).toBe('cbor-truncated')
})

const judge = (changed: Partial<KeysetPayload>): string | undefined =>
  refusalOf(() => {
    checkKeysetPayload({ ...keyset, ...changed })
  })

test('a keyset opens its sequence and carries the digest of its document', () => {
  expect(judge({})).toBeUndefined()
  expect(judge({ sequence: 1 })).toBe('payload-malformed')
  expect(judge({ previous: zeros(32).fill(1) })).toBe('payload-malformed')
  expect(judge({ keysetDigest: zeros(32) })).toBe('keyset-digest-mismatch')
  expect(judge({ sequence: 1, keysetDigest: zeros(32) })).toBe('payload-malformed')
})

test('any bytes are a payload or refused by name', () => {
  const near = fc
    .tuple(fc.constantFrom(receipt, keyset), fc.nat({ max: 13 }), cborValue)
    .map(([payload, key, value]) => editCbor(encodePayload(payload), set(key, value)))
  fc.assert(
    fc.property(fc.oneof(bytes, near), (given) => {
      const code = refusalOf(() => {
        expect(encodePayload(parsePayload(given))).toEqual(given)
      })
      expect(code ?? 'payload-').toMatch(/^(?:payload|cbor)-/)
    }),
    manyRuns,
  )
})
