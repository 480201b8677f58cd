import type {
  EvidenceAppraisal,
  PlatformEvidence,
} from '@countersign/protocol/attestation/appraisal'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import { appraisers } from '@countersign/protocol/attestation/verify-evidence'
import { beforeAll, expect, test } from 'vitest'
import { rememberSignatures } from '../tampering/remember-signatures.ts'
import { sgxSample, snpSamples, tdxSample, type Sample } from './samples.ts'
import { turnBits } from './turned-bits.ts'

type Part = {
  readonly title: string
  readonly sample: Sample
  readonly bytes: Uint8Array
  readonly put: (bytes: Uint8Array) => PlatformEvidence
}

const samples = [tdxSample(), sgxSample(), ...snpSamples()]

/** The report of each sample, and each piece of its collateral. */
const parts: readonly Part[] = samples.flatMap((sample): Part[] => {
  const { raw, collateral } = sample.evidence
  return [
    {
      title: `the report of ${sample.name}`,
      sample,
      bytes: raw,
      put: (bytes) => ({ raw: bytes, collateral }),
    },
    ...Array.from(collateral, ([name, piece]) => ({
      title: `${name} of ${sample.name}`,
      sample,
      bytes: piece,
      put: (bytes: Uint8Array) => ({ raw, collateral: new Map(collateral).set(name, bytes) }),
    })),
  ]
})

beforeAll(rememberSignatures)

test('the samples are read whole: five reports with 25 pieces of collateral', () => {
  expect(parts).toHaveLength(5 + 2 * 8 + 3 * 3)
})

test.each(parts)(
  'a turned bit of $title is refused',
  async ({ sample, bytes, put }) => {
    const before = failedOf(await appraise(sample, sample.evidence))
    const taken: number[] = []
    let turnedBits = 0
    for (const [bit, turned] of turnBits(bytes)) {
      turnedBits++
      const failed = failedOf(await appraise(sample, put(turned)))
      if (!failed.some((check) => !before.includes(check))) taken.push(bit)
    }
    expect(turnedBits).toBeGreaterThan(0)
    expect(taken).toEqual([])
  },
  3_600_000,
)

test('a part cut short at any of many places is refused', async () => {
  for (const { title, sample, bytes, put } of parts) {
    const before = failedOf(await appraise(sample, sample.evidence))
    // Zeros behind a quote carry no meaning (AT7.1), and neither does the last line end of PEM or the NUL behind it.
    const end = bytes.findLastIndex((byte) => byte !== 0 && byte !== 0x0a)
    for (const length of [0, 1, 40, bytes.length >> 1, end]) {
      const failed = failedOf(await appraise(sample, put(bytes.slice(0, length))))
      expect(
        failed.some((check) => !before.includes(check)),
        `${title} at ${length}`,
      ).toBe(true)
    }
  }
})

test('a part with a byte behind is refused', async () => {
  for (const { title, sample, bytes, put } of parts) {
    const before = failedOf(await appraise(sample, sample.evidence))
    const failed = failedOf(await appraise(sample, put(Uint8Array.of(...bytes, 1))))
    expect(
      failed.some((check) => !before.includes(check)),
      title,
    ).toBe(true)
  }
})

async function appraise(
  { platform, asOfMs }: Sample,
  evidence: PlatformEvidence,
): Promise<EvidenceAppraisal> {
  const roots = new Set(vendorRoots.get(platform))
  return await appraisers[platform](evidence, { asOfMs, roots })
}

function failedOf({ checks }: EvidenceAppraisal): readonly string[] {
  return checks.flatMap((check) => (check.status === 'failed' ? [`${check.id} ${check.code}`] : []))
}
