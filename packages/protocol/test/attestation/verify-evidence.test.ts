import { judgeAlone, type EvidenceVerdict } from '@countersign/protocol/attestation/judge-evidence'
import { parseEvidencePolicy } from '@countersign/protocol/attestation/evidence-policy'
import { encodeEvidenceSet } from '@countersign/protocol/attestation/evidence-set'
import { encodePlatformEvidence } from '@countersign/protocol/attestation/platform-evidence'
import {
  createEvidenceVerifier,
  verifyEvidence,
} from '@countersign/protocol/attestation/verify-evidence'
import { platforms } from '@countersign/protocol/attestation/appraisal'
import { parseQeIdentity } from '@countersign/protocol/attestation/dcap/statement'
import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  dcapAsOfMs,
  dcapRoot,
  forgeDcap,
} from '../../../../test/vectors/attestation/dcap-evidence.ts'
import { dcapReportData } from '../../../../test/vectors/attestation/dcap-quote.ts'
import {
  forgeChain,
  forgeReport,
  gpuTestRoot,
  gpuTimeMs,
} from '../../../../test/vectors/attestation/forge-nvidia.ts'
import {
  forgeSnp,
  snpAsOfMs,
  snpReportData,
  snpRoot,
} from '../../../../test/vectors/attestation/snp-evidence.ts'
import { seededBytes } from '../../../../test/vectors/signers.ts'
import { evidenceRefusalOf } from './refusal.ts'

const vbios = '96.00.5E.00.01'
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const snpMeasurement = `${hex(seededBytes('snp measurement'))}${'00'.repeat(16)}`

const policy = parseEvidencePolicy(
  new TextEncoder().encode(
    JSON.stringify({
      evidencePolicy: 1,
      name: 'test roots',
      platforms: [
        {
          platform: 'amd-sev-snp',
          require: ['revocation', 'freshness'],
          roots: { vendor: true, simulated: [snpRoot('Milan')] },
          measurements: [{ measurement: snpMeasurement }],
          minVersions: { Milan: { bootloader: 4, tee: 1, snp: 24, microcode: 219 } },
        },
        {
          platform: 'intel-sgx',
          require: [],
          roots: { vendor: false, simulated: [dcapRoot] },
          measurements: [{ mrenclave: hex(seededBytes('mrenclave')) }],
        },
      ],
      maxAgeMs: 1000,
      maxClockSkewMs: 0,
      machines: 'any',
      minVendors: 1,
    }),
  ),
)
const snp = { asOfMs: snpAsOfMs, reportData: snpReportData, knownSinceMs: snpAsOfMs }

test('evidence of unknown age is not enough where a policy asks for an age', async () => {
  const given = { asOfMs: dcapAsOfMs, reportData: dcapReportData }
  const verdict = await verifyEvidence('intel-sgx', forgeDcap('sgx'), policy, given)
  expect(verdict.verdict).toBe('incomplete')
})

test('one piece of evidence is no agreement of vendors', async () => {
  const valid = await verifyEvidence('amd-sev-snp', forgeSnp(), policy, snp)
  const two = { ...policy, minVendors: 2 }
  expect(judgeAlone(valid, policy)).toBe(valid)
  expect(judgeAlone(valid, two)).toEqual({ ...valid, verdict: 'incomplete' })
  const refused: EvidenceVerdict = { ...valid, verdict: 'not-allowed' }
  expect(judgeAlone(refused, two)).toBe(refused)
})

/** A policy that lists a processor and this code of a GPU. */
function besideProcessor(listed: object): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({
      evidencePolicy: 1,
      name: 'a GPU beside a processor',
      platforms: [
        {
          platform: 'amd-sev-snp',
          require: [],
          roots: { vendor: true },
          measurements: [{ measurement: snpMeasurement }],
          minVersions: { Milan: { snp: 24 } },
        },
        {
          platform: 'nvidia-gpu',
          require: [],
          roots: { vendor: false, simulated: [gpuTestRoot] },
          measurements: [listed],
        },
      ],
      maxAgeMs: null,
      maxClockSkewMs: 0,
      machines: 'any',
      minVendors: 1,
    }),
  )
}

test('a GPU that took the nonce of a keyset vouches for nobody who holds it', async () => {
  const reportData = new Uint8Array(64).fill(0x42)
  const nonce = createHash('sha256').update('countersign/gpu/v1').update(reportData).digest()
  const request = (bytes: Uint8Array): Uint8Array => {
    bytes.set(nonce, 4)
    return bytes
  }
  const raw = forgeReport({ request })
  const evidence = { raw, collateral: new Map([['certificates', forgeChain()]]) }
  const listed = { driver: hex(Buffer.from('570.00')), vbios: hex(Buffer.from(vbios)) }
  const given = { asOfMs: gpuTimeMs, reportData }
  const judge = createEvidenceVerifier(besideProcessor(listed))
  const alone = await judge('nvidia-gpu', encodePlatformEvidence(evidence), given)
  expect(alone).toMatchObject({ verdict: 'incomplete', tier: 'simulated' })
  const set = await judge('several', encodeEvidenceSet(new Map([['nvidia-gpu', evidence]])), given)
  expect(set).toMatchObject({ verdict: 'incomplete', tier: undefined })
  expect(set?.pieces).toMatchObject([{ platform: 'nvidia-gpu', verdict: 'valid' }])
  const other = createEvidenceVerifier(besideProcessor({ driver: '00', vbios: '00' }))
  const refused = await other('nvidia-gpu', encodePlatformEvidence(evidence), given)
  expect(refused?.verdict).toBe('not-allowed')
})

test('evidence under a test root is valid, and called simulated', async () => {
  const verdict = await verifyEvidence('amd-sev-snp', forgeSnp(), policy, snp)
  expect(verdict).toMatchObject({ verdict: 'valid', tier: 'simulated', platform: 'amd-sev-snp' })
  const given = { asOfMs: dcapAsOfMs, reportData: dcapReportData, knownSinceMs: dcapAsOfMs }
  const sgx = await verifyEvidence('intel-sgx', forgeDcap('sgx'), policy, given)
  expect(sgx).toMatchObject({ verdict: 'valid', tier: 'simulated' })
})

test('older firmware than the policy asks for is not allowed, however it was hidden', async () => {
  // Committed and launch TCB: what the chip can go back to, and what the guest started on.
  for (const at of [0x1e0, 0x1f0]) {
    const evidence = forgeSnp({ report: (report) => report.set([4, 1, 0, 0, 0, 0, 23, 219], at) })
    const verdict = await verifyEvidence('amd-sev-snp', evidence, policy, snp)
    expect(verdict.verdict).toBe('not-allowed')
  }
})

test('good evidence of a platform that the policy does not name is refused', async () => {
  const given = { asOfMs: dcapAsOfMs, reportData: dcapReportData }
  const verdict = await verifyEvidence('intel-tdx', forgeDcap('tdx'), policy, given)
  expect(verdict).toMatchObject({ verdict: 'invalid', tier: undefined })
})

test.each(platforms)('bytes that are nothing are no evidence of %s', async (platform) => {
  for (const raw of [
    new Uint8Array(),
    new Uint8Array(1184).fill(0xff),
    new TextEncoder().encode('{}'),
  ]) {
    const evidence = { raw, collateral: new Map() }
    const verdict = await verifyEvidence(platform, evidence, policy, snp)
    expect(verdict.verdict).toBe('invalid')
    expect(verdict.checks[0]).toMatchObject({ id: 'format', status: 'failed' })
  }
})

test('a statement that is too large is refused before it is read', () => {
  const identity = forgeDcap('tdx').collateral.get('qe-identity') ?? new Uint8Array()
  const padded = new Uint8Array(262_145).fill(0x20)
  padded.set(identity)
  expect(parseQeIdentity(padded.subarray(0, -1)).id).toBe('TD_QE')
  expect(evidenceRefusalOf(() => parseQeIdentity(padded))).toBe('collateral-malformed')
})
