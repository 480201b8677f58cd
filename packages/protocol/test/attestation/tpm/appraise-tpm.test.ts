import { expect, test } from 'vitest'
import { appraiseTpm } from '@countersign/protocol/attestation/tpm/appraise-tpm'
import { tpmCases } from '../../../../../test/vectors/attestation/cases/tpm.ts'
import { judgeEvidenceCase } from '../../../../../test/vectors/attestation/evidence-case.ts'

test('every case of the vectors comes out as its author says', async () => {
  const outcomes = await Promise.allSettled(
    tpmCases().map((given) => judgeEvidenceCase(given, { tpm: appraiseTpm })),
  )
  const faults = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [String(outcome.reason)] : [],
  )
  expect(faults).toEqual([])
  expect(outcomes.length).toBeGreaterThan(100)
})
