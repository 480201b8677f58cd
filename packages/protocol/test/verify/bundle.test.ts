import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import {
  encodeBundle,
  maxBundleBytes,
  parseBundle,
  type Bundle,
} from '@countersign/protocol/verify/bundle'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { zeros } from '../../../../test/vectors/edits.ts'
import { bytes, manyRuns, portion, refusalOf, runs } from '../arbitrary.ts'

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
const kind = fc.string({ minLength: 1, maxLength: 16, unit: 'grapheme' }).filter((text) => {
  const { length } = encodeUtf8(text)
  return length <= 64 && text.isWellFormed()
})
const bundles: fc.Arbitrary<Bundle> = fc.record(
  {
    statement: bytes,
    claims: fc.array(
      fc.oneof(
        bytes.map((given) => ({ kind: 'claim' as const, bytes: given })),
        digest.map((hash) => ({ kind: 'leaf' as const, hash })),
      ),
      { maxLength: 64 },
    ),
    keyset: bytes,
    evidence: fc.array(fc.record({ kind, nonce: digest, data: bytes }), { maxLength: 1 }),
    proofs: fc.array(fc.record({ kind, data: bytes }), { maxLength: 16 }),
    events: fc
      .array(digest, { maxLength: 5 })
      .map((parts) => Uint8Array.from(Buffer.concat(parts))),
  },
  { requiredKeys: ['statement', 'claims', 'keyset', 'evidence', 'proofs'] },
)

test('every bundle survives encoding', () => {
  fc.assert(
    fc.property(bundles, (bundle) => {
      expect(parseBundle(encodeBundle(bundle))).toEqual(bundle)
    }),
    runs(500),
  )
})

test('a bundle file is one line that ends', () => {
  const text = new TextDecoder().decode(encodeBundle(empty({})))
  expect(text).toBe(
    '{"countersign":1,"statement":"","claims":[],"keyset":"","evidence":[],"proofs":[]}\n',
  )
})

test('as many bytes as allowed are read and one more is not', () => {
  const text = new TextDecoder().decode(encodeBundle(empty({})))
  expect(refusalOf(() => parseBundle(encodeUtf8(text.padEnd(maxBundleBytes))))).toBeUndefined()
  expect(refusalOf(() => parseBundle(encodeUtf8(text.padEnd(maxBundleBytes + 1))))).toBe(
    'bundle-too-large',
  )
  expect(maxBundleBytes).toBe(4_194_304)
})

const refusal = (bundle: Bundle): string | undefined =>
  refusalOf(() => parseBundle(encodeBundle(bundle)))
const claims = (count: number): Bundle =>
  empty({ claims: Array.from({ length: count }, () => ({ kind: 'leaf', hash: zeros(32) })) })
const proofs = (count: number): Bundle =>
  empty({ proofs: Array.from({ length: count }, () => ({ kind: 'a', data: zeros(0) })) })
const evidence = (text: string): Bundle =>
  empty({ evidence: [{ kind: text, nonce: zeros(32), data: zeros(0) }] })
const proof = (text: string): Bundle => empty({ proofs: [{ kind: text, data: zeros(0) }] })

test('lists and texts have a limit, both ends included', () => {
  for (const good of [
    claims(64),
    proofs(16),
    evidence('k'),
    evidence('k'.repeat(64)),
    proof('k'.repeat(64)),
  ]) {
    expect(refusal(good)).toBeUndefined()
  }
  for (const bad of [
    claims(65),
    proofs(17),
    evidence(''),
    evidence('k'.repeat(65)),
    proof(''),
    proof('k'.repeat(65)),
  ]) {
    expect(refusal(bad)).toBe('bundle-malformed')
  }
})

test('digests have 32 bytes and events a multiple of that', () => {
  for (const length of [0, 31, 33]) {
    expect(refusal(empty({ claims: [{ kind: 'leaf', hash: zeros(length) }] }))).toBe(
      'bundle-malformed',
    )
    expect(
      refusal(empty({ evidence: [{ kind: 'a', nonce: zeros(length), data: zeros(0) }] })),
    ).toBe('bundle-malformed')
  }
  expect(refusal(empty({ events: zeros(31) }))).toBe('bundle-malformed')
  expect(refusal(empty({ events: zeros(0) }))).toBeUndefined()
  expect(refusal(empty({ events: zeros(64) }))).toBeUndefined()
})

test('any bytes are a bundle or refused by name', () => {
  const text = new TextDecoder().decode(
    encodeBundle(
      empty({
        claims: [
          { kind: 'claim', bytes: zeros(3) },
          { kind: 'leaf', hash: zeros(32) },
        ],
        evidence: [{ kind: 'a', nonce: zeros(32), data: zeros(1) }],
        proofs: [{ kind: 'a', data: zeros(2) }],
        events: zeros(32),
      }),
    ),
  )
  const token = fc.constantFrom(
    '"',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '1',
    'null',
    '"a"',
    'A',
    '=',
    '_',
    ' ',
  )
  const near = fc
    .tuple(fc.nat({ max: text.length }), fc.nat({ max: 8 }), token)
    .map(([at, removed, inserted]) =>
      encodeUtf8(text.slice(0, at) + inserted + text.slice(at + removed)),
    )
  let parsed = 0
  fc.assert(
    fc.property(fc.oneof(bytes, near), (given) => {
      const code = refusalOf(() => {
        const bundle = parseBundle(given)
        parsed++
        expect(parseBundle(encodeBundle(bundle))).toEqual(bundle)
      })
      expect(code ?? 'bundle-').toMatch(/^bundle-/)
    }),
    manyRuns,
  )
  expect(parsed).toBeGreaterThan(portion(50))
})

function empty(parts: Partial<Bundle>): Bundle {
  return { statement: zeros(0), claims: [], keyset: zeros(0), evidence: [], proofs: [], ...parts }
}
