/** Judges several pieces of evidence together: who stands behind them, and is that enough (spec/attestation.md AT19). */
import {
  evidenceCheckIds,
  type EvidenceCheck,
  type Platform,
  type PlatformEvidence,
} from './appraisal.ts'
import type { EvidencePolicy, EvidenceTier } from './evidence-policy.ts'
import { severalKind, type EvidenceSet } from './evidence-set.ts'
import { tierOrder, vouchesForKeys, type EvidenceVerdict } from './judge-evidence.ts'
import { vendorRoots } from './vendor-roots.ts'

/**
 * The verdict about a set, with that of each piece in it.
 *
 * @param judge - judges one piece of a platform that the policy lists.
 */
export async function judgeSet(
  set: EvidenceSet,
  policy: EvidencePolicy,
  judge: (platform: Platform, evidence: PlatformEvidence) => Promise<EvidenceVerdict>,
): Promise<EvidenceVerdict> {
  const pieces: EvidenceVerdict[] = []
  for (const [platform, evidence] of set) {
    const isListed = policy.platforms.has(platform)
    pieces.push(isListed ? await judge(platform, evidence) : notListed(platform, policy))
  }
  const isBad = pieces.some(({ verdict }) => verdict === 'invalid')
  const reached = tierOrder.findLast((tier) => countVendors(pieces, tier) >= policy.minVendors)
  const tier = isBad ? undefined : reached
  const isRefused = pieces.some(({ verdict }) => verdict === 'not-allowed')
  const missing = isBad ? 'invalid' : isRefused ? 'not-allowed' : 'incomplete'
  return {
    verdict: tier === undefined ? missing : 'valid',
    policy: policy.name,
    policyDigest: policy.digest,
    platform: severalKind,
    tier,
    checks: mergeChecks(tier === undefined ? pieces : pieces.filter(isValid)),
    pieces,
  }
}

/**
 * How many vendors agree, who rest on nobody in common (AT19.4), behind the valid verdicts of this tier or a stronger
 * one.
 */
export function countVendors(verdicts: readonly EvidenceVerdict[], tier: EvidenceTier): number {
  const least = tierOrder.indexOf(tier)
  const strong = verdicts.filter(
    (verdict) =>
      isValid(verdict) &&
      vouchesForKeys(verdict.platform) &&
      tierOrder.findIndex((held) => held === verdict.tier) >= least,
  )
  return countApart(strong.map(restsOn))
}

/** The most of them of which no two have a name in common. There are few: every choice is tried. */
function countApart(all: readonly (readonly string[])[]): number {
  const [first, ...others] = all
  if (first === undefined) return 0
  const apart = others.filter((names) => !names.some((name) => first.includes(name)))
  return Math.max(countApart(others), 1 + countApart(apart))
}

/** Whose keys could forge it. */
function restsOn({ platform, claims }: EvidenceVerdict): readonly string[] {
  const vendor = String(platform.split('-', 1))
  // The only root of TPMs that is a vendor's is Google's.
  const isGoogles = vendorRoots.get('tpm')?.some((root) => root === claims?.root) === true
  if (vendor === 'tpm') return isGoogles ? ['google'] : ['tpm', 'microsoft']
  const names = [vendor]
  if (platform.includes('azure')) names.push('microsoft')
  // A service believes the report of a processor, whose vendor its token names.
  for (const setting of claims?.settings ?? []) {
    if (/^hwmodel .*sev/i.test(setting)) names.push('amd')
    if (/^hwmodel .*tdx/i.test(setting)) names.push('intel')
  }
  return names
}

function isValid({ verdict }: EvidenceVerdict): boolean {
  return verdict === 'valid'
}

/** What it could rest on is pinned by nobody, so it is not judged: neither good nor bad, it counts for nothing. */
function notListed(platform: Platform, { name, digest }: EvidencePolicy): EvidenceVerdict {
  return {
    verdict: 'not-allowed',
    policy: name,
    policyDigest: digest,
    platform,
    tier: undefined,
    checks: [{ id: 'platform', status: 'failed', code: 'platform-not-allowed', about: platform }],
  }
}

/** One line for each check (AT19.6): the worst that it was. */
function mergeChecks(pieces: readonly EvidenceVerdict[]): readonly EvidenceCheck[] {
  return evidenceCheckIds.flatMap((id) => {
    const all = pieces.flatMap(({ checks }) => checks.filter((check) => check.id === id))
    const worst =
      all.find(({ status }) => status === 'failed') ??
      all.find((check) => check.status === 'not-checked' && check.reason !== 'platform-has-none') ??
      all.find(({ status }) => status === 'passed') ??
      all[0]
    return worst ?? []
  })
}
