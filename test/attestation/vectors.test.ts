import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { listEvidenceCodes } from '@countersign/protocol/attestation/evidence-errors'
import { expect, test } from 'vitest'

const root = new URL('../../', import.meta.url)
const folder = fileURLToPath(new URL('vectors/attestation/', root))
const specification = readFileSync(new URL('spec/attestation.md', root), 'utf8')

type Case = {
  readonly clause: string
  readonly expect: { readonly checks: readonly (readonly [string, string, string])[] }
}

const cases = readdirSync(folder).flatMap((name): readonly Case[] =>
  JSON.parse(readFileSync(`${folder}${name}`, 'utf8')),
)
const found = new Set(
  cases.flatMap(({ expect: { checks } }) =>
    checks.flatMap(([, status, code]) => (status === 'failed' ? [code] : [])),
  ),
)

/** Codes that no verifier of a platform gives: the judge does, by a policy, or the reader of a challenge. */
const givenElsewhere = new Set([
  'binding-mismatch',
  'evidence-in-future',
  'key-not-confirmed',
  'signature-malformed',
  'tcb-revoked',
  'tpm-challenge-failed',
])

test('there are 500 vectors of evidence', () => {
  expect(cases.length).toBeGreaterThanOrEqual(500)
})

test('every refusal of evidence by its platform occurs in the vectors, and no other', () => {
  const wanted = [...listEvidenceCodes()].filter(
    (code) => !code.endsWith('-not-allowed') && !givenElsewhere.has(code),
  )
  expect([...found].toSorted()).toEqual(wanted.toSorted())
})

test('every clause that a vector cites stands in the specification', () => {
  const clauses = Array.from(specification.matchAll(/\*\*(AT\d+\.\d+)\*\*/g), ([, id]) => id)
  const sections = Array.from(specification.matchAll(/^## (AT\d+) /gm), ([, id]) => id)
  const known = new Set([...clauses, ...sections])
  expect(clauses.length).toBeGreaterThan(60)
  expect(cases.filter(({ clause }) => !known.has(clause))).toEqual([])
})
