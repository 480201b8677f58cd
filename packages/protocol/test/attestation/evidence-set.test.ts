import {
  encodeEvidenceSet,
  maxPieces,
  parseEvidenceSet,
} from '@countersign/protocol/attestation/evidence-set'
import { encodePlatformEvidence } from '@countersign/protocol/attestation/platform-evidence'
import { platforms, type Platform } from '@countersign/protocol/attestation/appraisal'
import { encodeCbor, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { assert as assertProperty, integer, nat, property } from 'fast-check'
import { expect, test } from 'vitest'
import { refusalOf } from '../arbitrary.ts'

const piece = { raw: Uint8Array.of(1), collateral: new Map([['crl', Uint8Array.of(2)]]) }
const bytes = encodePlatformEvidence(piece)

function encode(pieces: CborValue, version: CborValue = 1): Uint8Array {
  return encodeCbor(
    new Map<number, CborValue>([
      [1, version],
      [2, pieces],
    ]),
  )
}

function setOf(names: readonly Platform[]): ReadonlyMap<Platform, typeof piece> {
  return new Map(names.map((name) => [name, piece]))
}

test('a set comes back as it was, in the order of its encoding', () => {
  const set = setOf(['tpm', 'amd-sev-snp', 'aws-nitro'])
  const parsed = parseEvidenceSet(encodeEvidenceSet(set))
  expect([...parsed.keys()]).toEqual(['tpm', 'aws-nitro', 'amd-sev-snp'])
  expect(encodeEvidenceSet(parsed)).toEqual(encodeEvidenceSet(set))
  expect(parsed.get('tpm')).toEqual(piece)
})

test('a set has one piece at least and eight at most', () => {
  expect(parseEvidenceSet(encodeEvidenceSet(setOf(['tpm']))).size).toBe(1)
  const most = platforms.slice(0, maxPieces)
  expect(parseEvidenceSet(encodeEvidenceSet(setOf(most))).size).toBe(8)
  for (const names of [[], platforms.slice(0, maxPieces + 1)]) {
    const refusal = refusalOf(() => parseEvidenceSet(encodeEvidenceSet(setOf(names))))
    expect(refusal).toBe('evidence-malformed')
  }
})

const first = Uint8Array.of(0x63, ...Buffer.from('tpm'), 0x58, bytes.length, ...bytes)
const doubled = Uint8Array.of(0xa2, 1, 1, 2, 0xa2, ...first, ...first)

test.each<[string, Uint8Array]>([
  ['no bytes', new Uint8Array()],
  ['another version', encode(new Map([['tpm', bytes]]), 2)],
  ['pieces in an array', encode([bytes])],
  ['a platform that is none', encode(new Map([['simulated', bytes]]))],
  ['a set in the set', encode(new Map([['several', bytes]]))],
  ['a platform by its number', encode(new Map([[1, bytes]]))],
  ['a piece that is text', encode(new Map([['tpm', 'piece']]))],
  ['a piece that is no evidence', encode(new Map([['tpm', Uint8Array.of(0xa0)]]))],
  ['a platform twice', doubled],
  ['more than 1 MiB', encode(new Map([['tpm', new Uint8Array(1_048_576)]]))],
])('%s is no set', (_, data) => {
  expect(refusalOf(() => parseEvidenceSet(data))).toBe('evidence-malformed')
})

test('whatever the bytes are, a set is parsed or refused by name', () => {
  const good = encodeEvidenceSet(setOf(['tpm', 'aws-nitro']))
  assertProperty(
    property(nat(good.length - 1), integer({ min: 1, max: 255 }), (at, mask) => {
      const turned = good.map((byte, place) => (place === at ? byte ^ mask : byte))
      let parsed: Uint8Array | undefined
      const refusal = refusalOf(() => {
        parsed = encodeEvidenceSet(parseEvidenceSet(turned))
      })
      if (parsed === undefined) expect(refusal).toBe('evidence-malformed')
      else expect(parsed).toEqual(turned)
    }),
  )
})
