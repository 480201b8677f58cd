/** Judges the vectors of evidence, and measures how long that takes, with nothing but what browsers have. */
import { appraisers } from '@countersign/protocol/attestation/verify-evidence'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import { expandCases, type CompactCase } from '../vectors/attestation/compact.ts'
import { appraiseStored, type StoredEvidenceCase } from '../vectors/attestation/evidence-case.ts'
import type { RuntimeReport } from './judge-vectors.ts'

/** How long one appraisal takes, milliseconds. */
export type TimedAppraisal = { readonly name: string; readonly p50Ms: number }

/** Judges the texts of files of `vectors/attestation/`. */
export async function judgeEvidenceVectors(...texts: readonly string[]): Promise<RuntimeReport> {
  const outcomes: string[] = []
  const wrong: string[] = []
  for (const text of texts) {
    const cases: readonly CompactCase[] = JSON.parse(text)
    for (const { expect: wanted, ...given } of expandCases(cases)) {
      const outcome = JSON.stringify(await appraiseStored(given, appraisers))
      outcomes.push(outcome)
      if (outcome !== JSON.stringify(wanted)) wrong.push(given.name)
    }
  }
  return { outcomes, wrong }
}

/** Appraises each of the samples so many times; what fails is an error. The roots are those of the vendors. */
export async function timeAppraisals(
  samplesText: string,
  roundsText: string,
): Promise<readonly TimedAppraisal[]> {
  const samples: readonly Omit<StoredEvidenceCase, 'expect' | 'roots'>[] = JSON.parse(samplesText)
  const rounds = Number(roundsText)
  const timed: TimedAppraisal[] = []
  for (const sample of samples) {
    const given = { ...sample, roots: vendorRoots.get(sample.platform) ?? [] }
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const start = performance.now()
      const { checks } = await appraiseStored(given, appraisers)
      times.push(performance.now() - start)
      if (checks.length === 0) throw new Error(`${sample.name} was not judged`)
    }
    const p50Ms = times.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] ?? Number.NaN
    timed.push({ name: sample.name, p50Ms })
  }
  return timed
}
