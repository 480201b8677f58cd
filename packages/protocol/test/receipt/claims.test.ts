import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { encodeCbor, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import {
  createClaimsTree,
  openClaims,
  parseClaim,
  saltBytes,
  withholdClaims,
  type ClaimEntry,
} from '@countersign/protocol/receipt/claims'
import { expect, test } from 'vitest'
import { hashTreeByDefinition, leafHash } from '../../../../test/vectors/forge.ts'
import { seededBytes, seededSalts } from '../../../../test/vectors/signers.ts'
import { bytes, cborValue, manyRuns, portion, refusalOf, runs } from '../arbitrary.ts'

const claimsOf = (count: number): Map<string, CborValue> =>
  new Map(Array.from({ length: count }, (_, index) => [`claim ${index}`, index]))

test('the root is the RFC 6962 tree hash, for every number of claims', () => {
  for (let count = 1; count <= 64; count++) {
    const { entries, root } = createClaimsTree(claimsOf(count), seededSalts('tree', count))
    expect(root).toEqual(hashTreeByDefinition(entries.map(leafHash)))
    expect(entries).toHaveLength(count)
  }
})

test('RFC 6962 has a root over no leaves', () => {
  const claimsRoot = new Uint8Array(createHash('sha256').digest())
  expect(openClaims([], { claimsRoot, claimsCount: 0 })).toEqual(new Map())
})

test('claims are opened as they were given, whichever are withheld', () => {
  const names = fc.uniqueArray(fc.string({ unit: 'binary', minLength: 1, maxLength: 10 }), {
    minLength: 1,
    maxLength: 12,
  })
  const claims = names.chain((given) =>
    fc.tuple(
      fc.constant(given),
      fc.array(cborValue, { minLength: given.length, maxLength: given.length }),
      fc.array(fc.boolean(), { minLength: given.length, maxLength: given.length }),
    ),
  )
  fc.assert(
    fc.property(claims, ([given, values, isWithheld]) => {
      const map = new Map(given.map((name, index) => [name, values[index] ?? null]))
      const { entries, root } = createClaimsTree(map, seededSalts('open', map.size))
      const withheld = withholdClaims(entries)
      const shown = entries.map((entry, index) =>
        isWithheld[index] === true ? (withheld[index] ?? entry) : entry,
      )
      const opened = openClaims(shown, { claimsRoot: root, claimsCount: entries.length })
      const sorted = given.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      expect([...opened.keys()]).toEqual(sorted.filter((_, index) => isWithheld[index] !== true))
      for (const [name, value] of opened) {
        expect(encodeCbor(value)).toEqual(encodeCbor(map.get(name) ?? null))
      }
    }),
    runs(500),
  )
})

test('each claim has its own salt, in the order of the names', () => {
  const salts = seededSalts('order', 2)
  const { entries } = createClaimsTree(
    new Map([
      ['b', 1],
      ['a', 2],
    ]),
    salts,
  )
  expect(entries).toEqual([
    { kind: 'claim', bytes: encodeCbor([salts.slice(0, 32), 'a', 2]) },
    { kind: 'claim', bytes: encodeCbor([salts.slice(32), 'b', 1]) },
  ])
})

test('the SHA-256 that is given makes every leaf and node', () => {
  const lengths: number[] = []
  const hashInto = (given: Uint8Array, target: Uint8Array, offset: number): void => {
    lengths.push(given.length)
    target.set(createHash('sha256').update(given).digest(), offset)
  }
  const claims = claimsOf(3)
  const { entries, root } = createClaimsTree(claims, seededSalts('hash', 3), hashInto)
  const leaf = 1 + 3 + 32 + 8 + 1 + 1
  expect(lengths).toEqual([leaf - 1, leaf - 1, leaf - 1, 65, 65])
  expect(root).toEqual(hashTreeByDefinition(entries.map(leafHash)))
})

const make = (size: number): unknown =>
  createClaimsTree(new Map([['a', new Uint8Array(size)]]), seededSalts('large', 1))

test('refuses to make a tree of no claims, too many, too large ones or with other salts', () => {
  expect(() => createClaimsTree(new Map(), new Uint8Array(0))).toThrow('1 to 64 claims')
  expect(() => createClaimsTree(claimsOf(65), seededSalts('many', 65))).toThrow(RangeError)
  expect(() => createClaimsTree(claimsOf(2), seededSalts('few', 1))).toThrow(
    'one salt for each claim',
  )
  const largest = 16_384 - (1 + 2 + saltBytes + 2 + 3)
  expect(() => make(largest)).not.toThrow()
  expect(() => make(largest + 1)).toThrow('a claim has at most 16,384 bytes')
})

const build = (size: number): Uint8Array =>
  encodeCbor([seededBytes('salt'), 'a', new Uint8Array(size - 40)])

test('a claim of 16,384 bytes is opened and one more is refused', () => {
  expect(build(16_384)).toHaveLength(16_384)
  expect(parseClaim(build(16_384)).name).toBe('a')
  expect(refusalOf(() => parseClaim(build(16_385)))).toBe('claim-malformed')
})

test('any bytes are a claim or refused as malformed', () => {
  const near = fc
    .tuple(fc.constantFrom(31, 32, 33), fc.string({ maxLength: 66 }), cborValue)
    .map(([length, name, value]) => encodeCbor([new Uint8Array(length), name, value]))
  let opened = 0
  fc.assert(
    fc.property(fc.oneof(bytes, near), (given) => {
      const code = refusalOf(() => {
        parseClaim(given)
        opened++
      })
      expect(code ?? 'claim-malformed').toBe('claim-malformed')
    }),
    manyRuns,
  )
  expect(opened).toBeGreaterThan(portion(100))
})

test('a refused claim keeps the reason as its cause', () => {
  expect(() => parseClaim(Uint8Array.of(0xff))).toThrow(
    expect.objectContaining({ cause: expect.objectContaining({ code: 'cbor-not-canonical' }) }),
  )
})

test('a claim may have the value null', () => {
  expect(parseClaim(encodeCbor([seededBytes('salt'), 'n', null]))).toEqual({
    name: 'n',
    value: null,
  })
})

test('judges count, claims, order and root one after the other', () => {
  const { entries, root } = createClaimsTree(claimsOf(3), seededSalts('judge', 3))
  const open = (
    given: readonly ClaimEntry[],
    claimsCount: number,
    claimsRoot: Uint8Array = root,
  ): string | undefined => refusalOf(() => openClaims(given, { claimsRoot, claimsCount }))
  const [first, second, third] = entries
  if (first === undefined || second === undefined || third === undefined) throw new Error('three')
  const broken: ClaimEntry = { kind: 'claim', bytes: new Uint8Array(0) }
  expect(open(entries, 3)).toBeUndefined()
  expect(open([third, broken], 3)).toBe('claims-count-mismatch')
  expect(open([third, second, broken], 3)).toBe('claim-malformed')
  expect(open([first, third, second], 3)).toBe('claims-not-sorted')
  expect(open([first, first, third], 3)).toBe('claims-not-sorted')
  expect(open(entries, 3, new Uint8Array(32))).toBe('claims-root-mismatch')
})
