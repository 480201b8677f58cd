import { verifyEvidence } from '@countersign/protocol/attestation/verify-evidence'
import {
  parseEvidencePolicy,
  type EvidencePolicy,
} from '@countersign/protocol/attestation/evidence-policy'
import type { EvidenceVerdict } from '@countersign/protocol/attestation/judge-evidence'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { expect, test } from 'vitest'
import { sgxSample, snpSamples, tdxSample, type Sample } from './samples.ts'

type Members = { readonly [name: string]: unknown }

function policyFor({ platform }: Sample, members: Members): EvidencePolicy {
  const asked = { platform, require: [], roots: { vendor: true }, ...members }
  const policy = {
    evidencePolicy: 1,
    name: 'sample',
    platforms: [asked],
    maxAgeMs: null,
    maxClockSkewMs: 0,
    machines: 'any',
    minVendors: 1,
  }
  return parseEvidencePolicy(new TextEncoder().encode(JSON.stringify(policy)))
}

async function judge(sample: Sample, members: Members): Promise<EvidenceVerdict> {
  const { platform, evidence, asOfMs } = sample
  // Whose quote it is does not matter here: it is bound to what it says.
  const reportData = await reportDataOf(sample)
  return verifyEvidence(platform, evidence, policyFor(sample, members), { asOfMs, reportData })
}

async function reportDataOf(sample: Sample): Promise<Uint8Array> {
  const { platform, evidence, asOfMs } = sample
  const policy = policyFor(sample, { measurements: [anyMeasurement(platform)] })
  const { claims } = await verifyEvidence(platform, evidence, policy, { asOfMs })
  const [reportData] = claims?.binding.values ?? []
  if (reportData === undefined) throw new Error(`${sample.name} carries no report data`)
  return reportData
}

function anyMeasurement(platform: string): Members {
  if (platform === 'intel-tdx') return { ...tdxMeasurements, mrtd: '00' }
  return platform === 'intel-sgx' ? { mrenclave: '00' } : { measurement: '00' }
}

const tdxMeasurements = {
  mrtd: '91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7',
  rtmr0:
    '44c0197b39157fdd7a4dcc44767f9d6b0bb3977c7a8e347b8492f827fe9d9e5c48aca29b220b80b6a540cf994b9bc9c0',
  rtmr1:
    '0084452c01668329d4bc06acdf58a7205c26743304509973949e5619bf81a6a7aea8c323c173019b3093d54e579e9378',
  rtmr2:
    'd833feef2cd945148aa38ead2c53e9b7f138190aaaebfc551dccd829fc207aa3ba80b70870d7330733642e01d48c3132',
  rtmr3: '0'.repeat(96),
}
const sgxMeasurements = {
  mrenclave: '33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb',
}
const snpMeasurement =
  '5feee30d6d7e1a29f403d70a4198237ddfb13051a2d6976439487c609388ed7f98189887920ab2fa0096903a0c23fca1'
const snpMembers = {
  measurements: [{ measurement: snpMeasurement }],
  settings: ['smt-allowed', 'rapl-on', 'ciphertext-visible'],
  minVersions: {
    Milan: { bootloader: 4, tee: 0, snp: 24, microcode: 219 },
    Genoa: { bootloader: 10, tee: 0, snp: 23, microcode: 84 },
  },
}

function failuresOf({ checks }: EvidenceVerdict): readonly (readonly [string, string])[] {
  return checks.flatMap((check) =>
    check.status === 'failed' ? [[check.id, check.code] as const] : [],
  )
}

test('the TDX sample is valid as of its time, under the root of Intel', async () => {
  const verdict = await judge(tdxSample(), { measurements: [tdxMeasurements] })
  expect(verdict).toMatchObject({ verdict: 'valid', tier: 'production', policy: 'sample' })
  expect(verdict.claims?.tcb).toEqual({
    kind: 'status',
    status: 'UpToDate',
    advisories: [],
    evaluationNumber: 17,
  })
  expect(verdict.claims?.machine).toBe('811dca2a26b952e85bb6448b097ba4fd')
})

test('the SGX sample needs a policy that takes its state and each of its advisories', async () => {
  const members = { measurements: [sgxMeasurements] }
  const statuses = ['ConfigurationAndSWHardeningNeeded']
  const advisories = ['INTEL-SA-00289', 'INTEL-SA-00615']
  const strict = await judge(sgxSample(), members)
  expect(strict.verdict).toBe('not-allowed')
  expect(failuresOf(strict)).toEqual([['tcb', 'tcb-status-not-allowed']])
  const partly = await judge(sgxSample(), { ...members, statuses, advisories: ['INTEL-SA-00289'] })
  expect(failuresOf(partly)).toEqual([['tcb', 'tcb-advisory-not-allowed']])
  const taken = await judge(sgxSample(), { ...members, statuses, advisories })
  expect(taken.verdict).toBe('valid')
  expect(taken.claims?.tcb).toMatchObject({
    status: 'ConfigurationAndSWHardeningNeeded',
    advisories,
  })
  const [reportData = new Uint8Array()] = taken.claims?.binding.values ?? []
  expect(new TextDecoder().decode(reportData.subarray(0, 13))).toBe('Hello, world!')
})

test.each(snpSamples().slice(0, 2))(
  'the SEV-SNP sample $name is valid as of its time',
  async (sample) => {
    const verdict = await judge(sample, snpMembers)
    expect(verdict).toMatchObject({ verdict: 'valid', tier: 'production' })
    const strict = await judge(sample, { ...snpMembers, require: ['revocation'] })
    expect(strict.verdict).toBe('incomplete')
  },
)

test('the SEV-SNP sample in debug mode is refused, whatever the policy', async () => {
  const [, , sample] = snpSamples()
  if (sample === undefined) throw new Error('a sample is missing')
  const measurement =
    'b07af9620f3b839b47996422ddec6058338951d984e312115131ea82705eaf5b6bdf8a9ece31a5a608eb0cf2e4872b01'
  const verdict = await judge(sample, {
    measurements: [{ measurement }],
    settings: ['smt-allowed', 'rapl-on', 'ciphertext-visible', 'no-alias-check'],
    minVersions: { Milan: { bootloader: 2 } },
  })
  expect(verdict.verdict).toBe('invalid')
  expect(failuresOf(verdict)).toEqual([['debug', 'debug-enabled']])
  expect(toHex(verdict.claims?.binding.values[0]?.subarray(0, 6) ?? new Uint8Array())).toBe(
    '010203040500',
  )
})

test('samples are refused before and after the dates of their collateral', async () => {
  const tdx = tdxSample()
  const members = { measurements: [tdxMeasurements] }
  const early = await judge({ ...tdx, asOfMs: Date.parse('2025-06-19T10:00:00Z') }, members)
  expect(failuresOf(early)).toContainEqual(['validity', 'collateral-not-yet-valid'])
  const late = await judge({ ...tdx, asOfMs: Date.parse('2025-07-20T00:00:00Z') }, members)
  expect(failuresOf(late)).toEqual([
    ['validity', 'collateral-expired'],
    ['revocation', 'crl-expired'],
  ])
  const [milan] = snpSamples()
  if (milan === undefined) throw new Error('a sample is missing')
  const before = await judge({ ...milan, asOfMs: Date.parse('2026-02-04T00:00:00Z') }, snpMembers)
  expect(failuresOf(before)).toEqual([['validity', 'certificate-not-yet-valid']])
})

test('Genoa is refused under the chain of Milan, and the reverse', async () => {
  const [milan, genoa] = snpSamples()
  if (milan === undefined || genoa === undefined) throw new Error('a sample is missing')
  const vek = genoa.evidence.collateral.get('vek') ?? new Uint8Array()
  const mixed = {
    raw: genoa.evidence.raw,
    collateral: new Map(milan.evidence.collateral).set('vek', vek),
  }
  const verdict = await judge({ ...genoa, evidence: mixed }, snpMembers)
  expect(failuresOf(verdict)).toContainEqual(['chain', 'chain-issuer-mismatch'])
})
