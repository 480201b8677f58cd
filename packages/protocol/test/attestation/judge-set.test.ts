import { parseEvidencePolicy } from '@countersign/protocol/attestation/evidence-policy'
import type { Platform } from '@countersign/protocol/attestation/appraisal'
import type { EvidenceTier } from '@countersign/protocol/attestation/evidence-policy'
import type { EvidenceVerdict } from '@countersign/protocol/attestation/judge-evidence'
import { countVendors } from '@countersign/protocol/attestation/judge-set'
import { vendorRoots } from '@countersign/protocol/attestation/vendor-roots'
import { verifyEvidenceSet } from '@countersign/protocol/attestation/verify-evidence'
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { expect, test } from 'vitest'
import {
  askedOf,
  azurePiece,
  enclavePiece,
  nitroTpmPiece,
  setPolicy,
  setReportData,
  setTimeMs,
  snpPiece,
  tpmPiece,
  type AskedPlatform,
  type Piece,
} from '../../../../test/vectors/attestation/forge-set.ts'

const { snp, azure, enclave, nitroTpm, tpm } = askedOf
const debug = { report: (report: Uint8Array) => report.fill(0x0a, 0x0a, 0x0b) }
const tpmRoot = vendorRoots.get('tpm')?.[0] ?? ''

async function judge(
  minVendors: number,
  pieces: readonly Piece[],
  asked: readonly AskedPlatform[] = [snp, azure, enclave, nitroTpm, tpm],
): Promise<EvidenceVerdict> {
  const policy = parseEvidencePolicy(encodeUtf8(setPolicy(minVendors, asked)))
  const expected = { asOfMs: setTimeMs, knownSinceMs: setTimeMs, reportData: setReportData }
  return await verifyEvidenceSet(new Map(pieces), policy, expected)
}

function endOf({ checks }: EvidenceVerdict, id: string): string | undefined {
  const check = checks.find((each) => each.id === id)
  if (check === undefined || check.status === 'passed') return check?.status
  return check.status === 'failed' ? check.code : check.reason
}

test('two vendors agree when each of their pieces is valid by itself', async () => {
  const verdict = await judge(2, [enclavePiece(), snpPiece()])
  expect(verdict).toMatchObject({ verdict: 'valid', tier: 'simulated', platform: 'several' })
  expect(verdict).toMatchObject({ policy: 'several vendors' })
  expect(verdict.pieces?.map((piece) => [piece.platform, piece.verdict])).toEqual([
    ['aws-nitro', 'valid'],
    ['amd-sev-snp', 'valid'],
  ])
  expect(endOf(verdict, 'binding')).toBe('passed')
  expect(endOf(verdict, 'machine')).toBe('any-allowed')
  expect(endOf(verdict, 'tcb')).toBe('passed')
  expect(verdict.checks.map(({ id }) => id)).toContain('measurement')
})

test('three are not two', async () => {
  const verdict = await judge(3, [enclavePiece(), snpPiece()])
  expect(verdict).toMatchObject({ verdict: 'incomplete', tier: undefined })
  expect(endOf(verdict, 'binding')).toBe('passed')
  expect((await judge(3, [enclavePiece(), snpPiece(), tpmPiece()])).verdict).toBe('valid')
})

test('pieces of one vendor are one voice', async () => {
  expect((await judge(2, [enclavePiece(), nitroTpmPiece()])).verdict).toBe('incomplete')
  expect((await judge(1, [enclavePiece(), nitroTpmPiece()])).verdict).toBe('valid')
  expect((await judge(2, [snpPiece(), azurePiece()])).verdict).toBe('incomplete')
})

test('a TPM beside an Azure report can be the one of its paravisor: one voice', async () => {
  const verdict = await judge(2, [azurePiece(), tpmPiece()])
  expect(verdict.pieces?.map((piece) => piece.verdict)).toEqual(['valid', 'valid'])
  expect(verdict.verdict).toBe('incomplete')
  expect((await judge(2, [azurePiece(), enclavePiece()])).verdict).toBe('valid')
  expect((await judge(2, [snpPiece(), tpmPiece()])).verdict).toBe('valid')
})

test.each<[string, Piece, string]>([
  ['debug', snpPiece(debug), 'debug'],
  ['other report data', snpPiece({}, new Uint8Array(64)), 'binding'],
  ['a turned bit', snpPiece({ signedReport: (report) => report.fill(1, 0x90, 0x91) }), 'signature'],
])('a piece with %s makes all of them invalid, whatever was asked', async (_, piece, id) => {
  const verdict = await judge(1, [enclavePiece(), piece, tpmPiece()])
  expect(verdict).toMatchObject({ verdict: 'invalid', tier: undefined })
  expect(verdict.checks.find((check) => check.id === id)?.status).toBe('failed')
})

test('what is not allowed, or not checked, counts for nothing', async () => {
  const other = { ...snp, measurements: [{ measurement: 'ff'.repeat(48) }] }
  const strict = { ...enclave, require: ['revocation'] }
  const pieces = [enclavePiece(), snpPiece(), tpmPiece()]
  const refused = await judge(3, pieces, [other, enclave, tpm])
  expect(refused).toMatchObject({ verdict: 'not-allowed', tier: undefined })
  expect(endOf(refused, 'measurement')).toBe('measurement-not-allowed')
  const agreed = await judge(2, pieces, [other, enclave, tpm])
  expect(agreed.verdict).toBe('valid')
  // Of those that count.
  expect(endOf(agreed, 'measurement')).toBe('passed')
  const open = await judge(3, pieces, [snp, strict, tpm])
  expect(open.verdict).toBe('incomplete')
  expect(endOf(open, 'revocation')).toBe('collateral-missing')
  expect((await judge(2, pieces, [snp, strict, tpm])).verdict).toBe('valid')
})

test('a piece of a platform that is not listed is neither good nor bad', async () => {
  const verdict = await judge(1, [enclavePiece(), snpPiece(debug)], [enclave])
  expect(verdict.verdict).toBe('valid')
  expect(verdict.pieces?.[1]).toMatchObject({
    verdict: 'not-allowed',
    tier: undefined,
    checks: [{ id: 'platform', status: 'failed', code: 'platform-not-allowed' }],
  })
  const none = await judge(1, [snpPiece()], [enclave])
  expect(none.verdict).toBe('not-allowed')
  expect(none.checks).toHaveLength(1)
})

test('an agreement is worth what the weakest piece is that it needs', async () => {
  const service: AskedPlatform = { ...tpm, roots: { vendor: false, service: tpm.roots.simulated } }
  const roots = [...tpm.roots.simulated, ...tpm.roots.service]
  const asked = [{ ...service, roots: { vendor: false, service: roots } }, enclave]
  const both = [tpmPiece(), enclavePiece()]
  expect(await judge(1, both, asked)).toMatchObject({ verdict: 'valid', tier: 'service' })
  expect(await judge(2, both, asked)).toMatchObject({ verdict: 'valid', tier: 'simulated' })
})

type Given = readonly [Platform, EvidenceTier?, root?: string, hardware?: string]

function verdictOf([platform, tier = 'production', root = '', hardware]: Given): EvidenceVerdict {
  const claims = {
    root,
    binding: { form: 'whole', values: [] },
    measurements: new Map(),
    tcb: { kind: 'none' },
    settings: hardware === undefined ? [] : [`hwmodel ${hardware}`],
  } as const
  return { verdict: 'valid', policy: '', policyDigest: '', platform, tier, checks: [], claims }
}

test.each<[number, readonly Given[]]>([
  [0, []],
  [1, [['intel-tdx'], ['intel-sgx']]],
  // Any GPU takes any nonce: it stands behind nobody's keys.
  [0, [['nvidia-gpu'], ['nvidia-remote-attestation', 'service', '', 'GH100 A01 GSP BROM']]],
  [1, [['amd-sev-snp'], ['nvidia-gpu']]],
  [1, [['amd-sev-snp'], ['azure-attestation', 'production', '', 'sevsnpvm']]],
  [2, [['intel-tdx'], ['azure-attestation', 'production', '', 'sevsnpvm']]],
  [1, [['intel-sgx'], ['azure-attestation', 'production', '', 'tdxvm']]],
  [1, [['intel-tdx'], ['google-confidential-space', 'production', '', 'GCP_INTEL_TDX']]],
  [2, [['amd-sev-snp'], ['google-confidential-space', 'production', '', 'GCP_INTEL_TDX']]],
  [1, [['amd-sev-snp'], ['google-confidential-space', 'production', '', 'GCP_AMD_SEV']]],
  [2, [['amd-sev-snp'], ['azure-attestation']]],
  [1, [['amd-sev-snp-azure'], ['azure-attestation']]],
  [1, [['amd-sev-snp-azure'], ['intel-tdx-azure']]],
  [2, [['amd-sev-snp'], ['intel-tdx-azure'], ['azure-attestation']]],
  [2, [['amd-sev-snp'], ['amd-sev-snp-azure'], ['azure-attestation']]],
  [1, [['tpm'], ['azure-attestation']]],
  [2, [['tpm', 'production', tpmRoot], ['azure-attestation']]],
  [1, [['tpm', 'production', tpmRoot], ['google-confidential-space']]],
  [2, [['tpm'], ['google-confidential-space']]],
  [2, [['amd-sev-snp'], ['tpm', 'production', tpmRoot]]],
  [
    5,
    [
      ['amd-sev-snp'],
      ['intel-tdx'],
      ['aws-nitro'],
      ['nvidia-gpu'],
      ['google-confidential-space'],
      ['tpm'],
    ],
  ],
])('%i vendors who rest on nobody in common: %j', (count, given) => {
  const verdicts = given.map(verdictOf)
  expect(countVendors(verdicts, 'production')).toBe(count)
  expect(countVendors(verdicts.toReversed(), 'simulated')).toBe(count)
  const bad = verdicts.map((verdict) => ({ ...verdict, verdict: 'incomplete' as const }))
  expect(countVendors(bad, 'simulated')).toBe(0)
})

test('what says nothing about itself rests on the vendor of its platform', () => {
  const { claims, ...silent } = verdictOf(['intel-tdx'])
  expect(claims?.settings).toEqual([])
  expect(countVendors([silent, verdictOf(['intel-sgx'])], 'production')).toBe(1)
  expect(countVendors([silent, verdictOf(['aws-nitro'])], 'production')).toBe(2)
})

test('a tier counts itself and what is stronger, and nothing without one', () => {
  const verdicts = [
    verdictOf(['amd-sev-snp']),
    verdictOf(['tpm', 'service']),
    verdictOf(['aws-nitro', 'simulated']),
    { ...verdictOf(['nvidia-gpu']), tier: undefined },
  ]
  expect(countVendors(verdicts, 'production')).toBe(1)
  expect(countVendors(verdicts, 'service')).toBe(2)
  expect(countVendors(verdicts, 'simulated')).toBe(3)
})
