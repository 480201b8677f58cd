import { expect, test } from 'vitest'
import {
  encodePlatformEvidence,
  parsePlatformEvidence,
} from '@countersign/protocol/attestation/platform-evidence'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { encodeCbor, type CborValue } from '@countersign/protocol/bytes/cbor-encode'

const raw = Uint8Array.of(1, 2, 3)

function forge(changes: readonly (readonly [number, CborValue])[]): Uint8Array {
  return encodeCbor(new Map<number, CborValue>([[1, 1], [2, raw], [3, new Map()], ...changes]))
}

test('evidence and collateral come back as they were', () => {
  const collateral = new Map([
    ['vek', Uint8Array.of(9)],
    ['root-crl', new Uint8Array(0)],
  ])
  const bytes = encodePlatformEvidence({ raw, collateral })
  const parsed = parsePlatformEvidence(bytes)
  expect(parsed.raw).toEqual(raw)
  expect(new Map(parsed.collateral)).toEqual(collateral)
})

test('refuses what is not such a map, or larger than its place', () => {
  const pieces = (count: number): CborValue =>
    new Map(Array.from({ length: count }, (_, at) => [`p${at}`, raw]))
  const wrong: readonly (readonly [string, Uint8Array])[] = [
    ['no bytes', new Uint8Array(0)],
    ['a byte behind', concatBytes(forge([]), Uint8Array.of(0))],
    ['another version', forge([[1, 2]])],
    ['an unknown key', forge([[4, 1]])],
    ['empty evidence', forge([[2, new Uint8Array(0)]])],
    ['evidence of 65,537 bytes', forge([[2, new Uint8Array(65_537)]])],
    ['evidence that is a text', forge([[2, 'raw']])],
    ['collateral that is a list', forge([[3, []]])],
    ['33 pieces of collateral', forge([[3, pieces(33)]])],
    ['a name with a capital', forge([[3, new Map([['Vek', raw]])]])],
    ['an empty name', forge([[3, new Map([['', raw]])]])],
    ['a name that is a number', forge([[3, new Map([[1, raw]])]])],
    ['a piece that is a text', forge([[3, new Map([['vek', 'raw']])]])],
    ['a piece of 262,145 bytes', forge([[3, new Map([['vek', new Uint8Array(262_145)]])]])],
    ['more than 1 MiB', new Uint8Array(1_048_577)],
  ]
  for (const [name, bytes] of wrong) {
    expect(() => parsePlatformEvidence(bytes), name).toThrow('evidence-malformed')
  }
  expect(parsePlatformEvidence(forge([[3, pieces(32)]])).collateral.size).toBe(32)
})
