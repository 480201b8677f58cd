/** The published vectors of attestation answers, sets of evidence, sealed messages and bills. */
import { readFileSync } from 'node:fs'
import { decodeCbor } from '@countersign/protocol/bytes/cbor-decode'
import { isCborMap, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { judgeBill } from '@countersign/protocol/receipt/bill'
import { parseCharge } from '@countersign/protocol/receipt/charge'
import { expect, test } from 'vitest'
import {
  judgeStoredAnswer,
  type StoredAnswerCase,
} from '../../../test/vectors/attestation-answer.ts'
import { storeBill, type StoredBillCase } from '../../../test/vectors/cases/bills.ts'
import {
  expandSetCases,
  judgeStoredSet,
  type CompactSetCase,
} from '../../../test/vectors/evidence-set-case.ts'
import { openStored, type StoredSealedCase } from '../../../test/vectors/sealed-case.ts'

function read(name: string): string {
  return readFileSync(new URL(`../../../vectors/${name}.json`, import.meta.url), 'utf8')
}

const answers: readonly StoredAnswerCase[] = JSON.parse(read('attestations'))
const sealed: readonly StoredSealedCase[] = JSON.parse(read('sealed'))
const compactSets: readonly CompactSetCase[] = JSON.parse(read('evidence-sets'))
const sets = expandSetCases(compactSets)
const bills: readonly StoredBillCase[] = JSON.parse(read('bills'))

test('there are good and bad ones of each, with every code', () => {
  const confirmed = answers.flatMap(({ expect: { checks } }) =>
    checks.flatMap(([id, , detail]) => (id.startsWith('confirm-') ? [`${id} ${detail}`] : [])),
  )
  for (const kind of ['receipt', 'settlement', 'tls', 'hpke']) {
    expect(confirmed).toContain(`confirm-${kind} `)
    expect(confirmed).toContain(`confirm-${kind} signature-invalid`)
  }
  const codes = sealed.map((given) => ('code' in given.expect ? given.expect.code : ''))
  expect([...new Set(codes)].toSorted()).toEqual([
    '',
    'sealed-key-unknown',
    'sealed-malformed',
    'sealed-tampered',
    'sealed-truncated',
  ])
  const ends = bills.map(({ expect: end }) => String(end['code'] ?? end['reason'] ?? end['kind']))
  expect([...new Set(ends)].toSorted()).toEqual([
    'bill-authorised-mismatch',
    'bill-capped-mismatch',
    'bill-malformed',
    'bill-model-mismatch',
    'bill-too-high',
    'bill-too-low',
    'fixed',
    'metered',
    'no-rates',
    'recovered',
    'withheld',
  ])
})

test.each(answers)('$clause: $name', async ({ expect: expected, ...given }) => {
  expect(await judgeStoredAnswer(given)).toEqual(expected)
})

test('sets of evidence end in every way', () => {
  const ends = sets.map(({ expect: end }) => ('code' in end ? end.code : end.verdict))
  expect([...new Set(ends)].toSorted()).toEqual([
    'evidence-malformed',
    'incomplete',
    'invalid',
    'not-allowed',
    'valid',
  ])
})

test.each(sets)('$clause: $name', async ({ expect: expected, ...given }) => {
  expect(await judgeStoredSet(given)).toEqual(expected)
})

test.each(sealed)('$clause: $name', async (stored) => {
  expect(await openStored(stored)).toEqual(stored.expect)
})

test.each(bills)('$clause: $name', ({ charge, claims, isWhole, expect: expected }) => {
  const disclosed = decode(claims)
  if (!isCborMap(disclosed)) throw new Error('claims are a map')
  const named = new Map<string, CborValue>()
  for (const [name, value] of disclosed) named.set(String(name), value)
  expect(storeBill(judgeBill(parseCharge(decode(charge)), named, isWhole))).toEqual(expected)
})

function decode(text: string): CborValue {
  return decodeCbor(Uint8Array.from(Buffer.from(text, 'base64url')), 16_384)
}
