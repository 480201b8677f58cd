/** Verifies evidence of any platform: appraises it, and judges what it says by a policy (spec/attestation.md). */
import { platforms, type Appraiser, type Platform, type PlatformEvidence } from './appraisal.ts'
import { appraiseAzureSnp, appraiseAzureTdx } from './azure/appraise-azure.ts'
import { appraiseSgx, appraiseTdx } from './dcap/appraise-dcap.ts'
import { parseEvidencePolicy, type EvidencePolicy } from './evidence-policy.ts'
import { parseEvidenceSet, severalKind, type EvidenceSet } from './evidence-set.ts'
import {
  judgeAlone,
  judgeEvidence,
  vouchesForKeys,
  type EvidenceExpectation,
  type EvidenceVerdict,
} from './judge-evidence.ts'
import { judgeSet } from './judge-set.ts'
import { appraiseNitroEnclave, appraiseNitroTpm } from './nitro/appraise-nitro.ts'
import { appraiseNvidiaGpu } from './nvidia/appraise-nvidia.ts'
import { parsePlatformEvidence } from './platform-evidence.ts'
import { appraiseSevSnp } from './sev-snp/appraise-sev-snp.ts'
import { appraiseAzureAttestation } from './token/azure-attestation.ts'
import { appraiseConfidentialSpace } from './token/confidential-space.ts'
import { appraiseNvidiaRemote } from './token/nvidia-remote.ts'
import { appraiseTpm } from './tpm/appraise-tpm.ts'
import { vendorRoots } from './vendor-roots.ts'

/** The verifier of each platform. */
export const appraisers: Readonly<Record<Platform, Appraiser>> = {
  'amd-sev-snp': appraiseSevSnp,
  'amd-sev-snp-azure': appraiseAzureSnp,
  'intel-tdx': appraiseTdx,
  'intel-tdx-azure': appraiseAzureTdx,
  'intel-sgx': appraiseSgx,
  'aws-nitro': appraiseNitroEnclave,
  'aws-nitrotpm': appraiseNitroTpm,
  tpm: appraiseTpm,
  'nvidia-gpu': appraiseNvidiaGpu,
  'google-confidential-space': appraiseConfidentialSpace,
  'azure-attestation': appraiseAzureAttestation,
  'nvidia-remote-attestation': appraiseNvidiaRemote,
}

/**
 * Judges evidence of one platform. Whatever the bytes are, this does not throw.
 *
 * @param platform - the kind to expect: it is never guessed from the bytes.
 * @throws Error in a page without WebCrypto (not https, not localhost), where nothing can be judged.
 */
export async function verifyEvidence(
  platform: Platform,
  evidence: PlatformEvidence,
  policy: EvidencePolicy,
  expected: EvidenceExpectation,
): Promise<EvidenceVerdict> {
  // A vendor's root is known here even where the policy refuses it: then it is refused, and not called forged.
  const roots = new Set(vendorRoots.get(platform))
  for (const root of policy.platforms.get(platform)?.roots.keys() ?? []) roots.add(root)
  const appraisal = await appraisers[platform](evidence, { asOfMs: expected.asOfMs, roots })
  return await judgeEvidence(appraisal, policy, expected)
}

/** Judges a set of evidence, piece by piece and as a whole (AT19). Whatever the bytes are, this does not throw. */
export async function verifyEvidenceSet(
  set: EvidenceSet,
  policy: EvidencePolicy,
  expected: EvidenceExpectation,
): Promise<EvidenceVerdict> {
  return await judgeSet(set, policy, (platform, evidence) =>
    verifyEvidence(platform, evidence, policy, expected),
  )
}

/**
 * What `verify` takes to judge evidence of hardware in bundles by an evidence policy. A platform is a kind of evidence,
 * its data as AT1.2 has it, and so is `several`, as AT19.1 has it.
 *
 * @throws ProtocolError `policy-malformed`, `policy-empty`.
 */
export function createEvidenceVerifier(
  policyBytes: Uint8Array,
): (
  kind: string,
  data: Uint8Array,
  expected: EvidenceExpectation,
) => Promise<EvidenceVerdict | undefined> {
  const policy = parseEvidencePolicy(policyBytes)
  return async (kind, data, expected) => {
    if (kind === severalKind) {
      return await verifyEvidenceSet(parseEvidenceSet(data), policy, expected)
    }
    const platform = platforms.find((known) => known === kind)
    if (platform === undefined) return undefined
    const evidence = parsePlatformEvidence(data)
    const verdict = await verifyEvidence(platform, evidence, policy, expected)
    // What stands behind nobody's keys is never enough alone.
    return judgeAlone(verdict, vouchesForKeys(platform) ? policy : { minVendors: Infinity })
  }
}
