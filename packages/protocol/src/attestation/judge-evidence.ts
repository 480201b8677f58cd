/** Judges what evidence says by a policy (spec/attestation.md AT1.8, AT8). */
import { concatBytes, encodeUtf8, equalBytes } from '../bytes/byte-string.ts'
import { sha256 } from '../crypto/sha256.ts'
import {
  createEvidenceRun,
  evidenceCheckIds,
  EvidenceNotChecked,
  type EvidenceAppraisal,
  type EvidenceBinding,
  type EvidenceCheck,
  type EvidenceCheckId,
  type EvidenceClaims,
  type Platform,
  type Tcb,
} from './appraisal.ts'
import { refuse, refuseUnless } from './evidence-errors.ts'
import type { EvidencePolicy, EvidenceTier, PlatformPolicy, TcbPolicy } from './evidence-policy.ts'

/** What the verifier of a platform and the policy do not know. */
export type EvidenceExpectation = {
  /** The time judged at, milliseconds. */
  readonly asOfMs: number
  /** What the evidence must be bound to: 64 bytes. Absent, the binding stays open. */
  readonly reportData?: Uint8Array
  /** When evidence without a time of its own came to be known: for example when it was logged. */
  readonly knownSinceMs?: number
  /** Whether every key was shown to be held at that time. Absent, nobody looked. */
  readonly keysConfirmed?: boolean
}

/**
 * `invalid`: the evidence is bad. `not-allowed`: the policy does not take it. `incomplete`: a required check did not
 * run. `valid`: none of these.
 */
export type EvidenceVerdict = {
  readonly verdict: 'valid' | 'invalid' | 'not-allowed' | 'incomplete'
  readonly policy: string
  /** Of the policy (AT8.12). */
  readonly policyDigest: string
  /** `several` is the verdict about a set (AT19). */
  readonly platform: Platform | 'several'
  /** What stands behind it; `undefined` when the root is none of the policy's, or of a set that is not valid. */
  readonly tier: EvidenceTier | undefined
  /** In the order of `evidenceCheckIds`. */
  readonly checks: readonly EvidenceCheck[]
  readonly claims?: EvidenceClaims
  /** Of a set, in its order: each judged by itself. */
  readonly pieces?: readonly EvidenceVerdict[]
}

// Where the platform has nothing to judge, a check of these may stay open.
const alwaysRequired: readonly EvidenceCheckId[] = [
  'format',
  'root',
  'chain',
  'validity',
  'signature',
  'debug',
  'configuration',
  'platform',
  'binding',
  'measurement',
]

/** What some platforms can always show: then its absence is somebody's choice. */
const requiredOf: Partial<Readonly<Record<Platform, readonly EvidenceCheckId[]>>> = {
  'amd-sev-snp': ['tcb'],
  'amd-sev-snp-azure': ['tcb'],
  'intel-tdx': ['revocation', 'tcb'],
  'intel-tdx-azure': ['revocation', 'tcb'],
  'intel-sgx': ['revocation', 'tcb'],
}

const gpuPrefix = 'countersign/gpu/v1'

/** Adds the checks that need a policy or an expectation, and gives the verdict. */
export async function judgeEvidence(
  appraisal: EvidenceAppraisal,
  policy: EvidencePolicy,
  expected: EvidenceExpectation,
): Promise<EvidenceVerdict> {
  const { platform, claims } = appraisal
  const asked = policy.platforms.get(platform)
  const tier = asked && claims && weakestTier(claims, asked)
  const run = createEvidenceRun()
  const needClaims = (): EvidenceClaims => need(claims)
  await run.check('platform', () => {
    checkPlatform(asked ?? refuse('platform-not-allowed'), needClaims())
  })
  // A verifier that could not determine the state of the firmware has said so.
  if (!appraisal.checks.some(({ id }) => id === 'tcb')) {
    await run.check('tcb', () => {
      checkTcb(needClaims().tcb, need(asked).tcb)
    })
  }
  await run.check('binding', () => {
    checkBinding(needClaims().binding, expected.reportData)
  })
  await run.check('freshness', () => {
    checkFreshness(needClaims().timeMs ?? expected.knownSinceMs, policy, expected.asOfMs)
  })
  await run.check('key-confirmation', () => {
    if (expected.keysConfirmed === undefined) throw new EvidenceNotChecked('not-given')
    refuseUnless(expected.keysConfirmed, 'key-not-confirmed')
  })
  await run.check('measurement', () => {
    checkMeasurement(needClaims().measurements, need(asked))
  })
  await run.check('machine', () => {
    checkMachine(needClaims().machine, policy.machines)
  })
  const all = [...appraisal.checks, ...run.checks]
  const checks = evidenceCheckIds.flatMap((id) => all.filter((check) => check.id === id))
  // Who asks for an age wants it known.
  const byAge: readonly EvidenceCheckId[] = policy.maxAgeMs === null ? [] : ['freshness']
  const verdict = conclude(platform, checks, new Set([...(asked?.require ?? []), ...byAge]))
  const { name, digest: policyDigest } = policy
  const result = { verdict, policy: name, policyDigest, platform, tier, checks }
  return claims === undefined ? result : { ...result, claims }
}

/** One piece of evidence is no agreement of vendors: where a policy asks for several, it is not enough (AT8.11). */
export function judgeAlone(
  verdict: EvidenceVerdict,
  { minVendors }: Pick<EvidencePolicy, 'minVendors'>,
): EvidenceVerdict {
  const isAlone = minVendors > 1 && verdict.verdict === 'valid'
  return isAlone ? { ...verdict, verdict: 'incomplete' } : verdict
}

/**
 * Whether evidence of this kind can stand behind keys: a GPU's is no report of code, and any GPU takes any nonce, that of
 * a stranger's keyset too (AT10.8).
 */
export function vouchesForKeys(platform: EvidenceVerdict['platform']): boolean {
  return !platform.startsWith('nvidia-')
}

/** The weakest first. */
export const tierOrder: readonly EvidenceTier[] = ['simulated', 'service', 'production']

/** What rests on several pins is worth what the weakest of them is; on one that is not listed, nothing. */
function weakestTier(
  { root, otherPins = [] }: EvidenceClaims,
  { roots }: PlatformPolicy,
): EvidenceTier | undefined {
  const tiers = new Set([root, ...otherPins].map((pin) => roots.get(pin)))
  return tiers.has(undefined) ? undefined : tierOrder.find((tier) => tiers.has(tier))
}

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new EvidenceNotChecked('blocked')
  return value
}

function checkPlatform(asked: PlatformPolicy, { root, settings }: EvidenceClaims): void {
  refuseUnless(asked.roots.has(root), 'root-not-allowed')
  for (const name of settings) refuseUnless(asked.settings.has(name), 'setting-not-allowed', name)
}

function checkTcb(tcb: Tcb, asked: TcbPolicy): void {
  if (tcb.kind === 'status') checkStatus(tcb, asked)
  else if (tcb.kind === 'versions') checkVersions(tcb, asked)
  else throw new EvidenceNotChecked(tcb.kind === 'none' ? 'platform-has-none' : 'blocked')
}

function checkStatus(
  { status, advisories, evaluationNumber }: Tcb & { kind: 'status' },
  asked: TcbPolicy,
): void {
  refuseUnless(status !== 'Revoked', 'tcb-revoked')
  // Old statements stay signed: without a minimum, an attacker shows one from before a hole was known.
  refuseUnless(evaluationNumber >= asked.minEvaluationNumber, 'tcb-evaluation-not-allowed')
  if (status === 'UpToDate') return
  refuseUnless(asked.statuses.has(status), 'tcb-status-not-allowed', status)
  const areListed = advisories.every((advisory) => asked.advisories.has(advisory))
  refuseUnless(areListed, 'tcb-advisory-not-allowed')
}

function checkVersions(
  { product, versions }: Tcb & { kind: 'versions' },
  { minVersions }: TcbPolicy,
): void {
  const code = 'tcb-version-not-allowed'
  for (const [component, version] of minVersions.get(product) ?? refuse(code, product)) {
    // A component that the platform does not have is below every version.
    refuseUnless((versions.get(component) ?? -1) >= version, code, component)
  }
}

function checkBinding({ form, values }: EvidenceBinding, reportData: Uint8Array | undefined): void {
  if (reportData === undefined) throw new EvidenceNotChecked('not-given')
  const carried = { whole: reportData, sha256: sha256(reportData), gpu: gpuNonce(reportData) }[form]
  const isBound = values.some((value) => equalBytes(value, carried))
  refuseUnless(isBound, 'binding-mismatch')
}

function gpuNonce(reportData: Uint8Array): Uint8Array {
  return sha256(concatBytes(encodeUtf8(gpuPrefix), reportData))
}

function checkFreshness(
  timeMs: number | undefined,
  { maxAgeMs, maxClockSkewMs }: EvidencePolicy,
  asOfMs: number,
): void {
  if (timeMs === undefined) throw new EvidenceNotChecked('not-given')
  refuseUnless(timeMs <= asOfMs + maxClockSkewMs, 'evidence-in-future')
  const isFresh = maxAgeMs === null || timeMs >= asOfMs - maxAgeMs
  refuseUnless(isFresh, 'evidence-age-not-allowed')
}

function checkMeasurement(
  measured: ReadonlyMap<string, string>,
  { measurements }: PlatformPolicy,
): void {
  const isListed = measurements.some((allowed) =>
    Array.from(allowed).every(([name, value]) => measured.get(name) === value),
  )
  refuseUnless(isListed, 'measurement-not-allowed')
}

function checkMachine(machine: string | undefined, machines: EvidencePolicy['machines']): void {
  if (machines === 'any') throw new EvidenceNotChecked('any-allowed')
  // Hiding the name is somebody's choice: what names no machine is none of those listed.
  refuseUnless(machine !== undefined && machines.has(machine), 'machine-not-allowed')
}

function conclude(
  platform: Platform,
  checks: readonly EvidenceCheck[],
  asked: PlatformPolicy['require'],
): EvidenceVerdict['verdict'] {
  const codes = checks.flatMap((check) => (check.status === 'failed' ? [check.code] : []))
  // The names of the codes say whose refusal it is; the table of them has a test for this.
  if (!codes.every((code) => code.endsWith('-not-allowed'))) return 'invalid'
  if (codes.length > 0) return 'not-allowed'
  const required = [...(requiredOf[platform] ?? []), ...asked]
  const passed = new Set(checks.flatMap(({ id, status }) => (status === 'passed' ? [id] : [])))
  // No evidence can bring this about: a verifier says it of its platform, always or never.
  const absent = new Set(
    checks.flatMap((check) =>
      check.status === 'not-checked' && check.reason === 'platform-has-none' ? [check.id] : [],
    ),
  )
  const isComplete =
    alwaysRequired.every((id) => passed.has(id) || absent.has(id)) &&
    required.every((id) => passed.has(id))
  return isComplete ? 'valid' : 'incomplete'
}
