import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { appraisers } from '@countersign/protocol/attestation/verify-evidence'
import { expect, test } from 'vitest'
import { expandCases } from '../../../../test/vectors/attestation/compact.ts'
import {
  appraiseStored,
  type StoredEvidenceCase,
} from '../../../../test/vectors/attestation/evidence-case.ts'

const folder = fileURLToPath(new URL('../../../../vectors/attestation/', import.meta.url))
const cases = readdirSync(folder).flatMap((name): readonly StoredEvidenceCase[] =>
  expandCases(JSON.parse(readFileSync(`${folder}${name}`, 'utf8'))),
)

const refused = (given: StoredEvidenceCase): boolean =>
  given.expect.checks.some(([, status]) => status === 'failed')

test('there are vectors of evidence that is taken and of evidence that is refused', () => {
  expect(cases.filter((given) => !refused(given)).length).toBeGreaterThan(40)
  expect(cases.filter(refused).length).toBeGreaterThan(250)
})

test.each(cases)('$platform $clause: $name', async (stored) => {
  expect(await appraiseStored(stored, appraisers)).toEqual(stored.expect)
})
