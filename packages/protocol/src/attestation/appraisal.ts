/** What every verifier of evidence gives: named checks, and what the evidence says (spec/attestation.md AT1). */
import { EvidenceError, type EvidenceCode } from './evidence-errors.ts'
import type { RootPins } from './x509/chain.ts'

/** The kinds of evidence. */
export const platforms = [
  'amd-sev-snp',
  'amd-sev-snp-azure',
  'intel-tdx',
  'intel-tdx-azure',
  'intel-sgx',
  'aws-nitro',
  'aws-nitrotpm',
  'tpm',
  'nvidia-gpu',
  'google-confidential-space',
  'azure-attestation',
  'nvidia-remote-attestation',
] as const

/** The name of a kind of evidence. */
export type Platform = (typeof platforms)[number]

/**
 * The checks. A verifier of a platform runs the first eight, and `tcb` when it cannot determine the state of the
 * firmware; `judgeEvidence` adds the others.
 *
 * `configuration`: settings that no policy may allow. `platform`: kind, root and settings are those of the policy.
 */
export const evidenceCheckIds = [
  'format',
  'root',
  'chain',
  'validity',
  'revocation',
  'signature',
  'debug',
  'configuration',
  'platform',
  'tcb',
  'binding',
  'freshness',
  'key-confirmation',
  'measurement',
  'machine',
] as const

/** The name of a check. */
export type EvidenceCheckId = (typeof evidenceCheckIds)[number]

/**
 * Why a check did not run. `blocked`: an earlier one that it needs did not pass. `collateral-missing`: the evidence
 * carries not what the check needs. `platform-has-none`: there is nothing to judge. `not-given`: the caller did not
 * say what to expect. `any-allowed`: the policy takes all.
 */
export type EvidenceReason =
  | 'any-allowed'
  | 'blocked'
  | 'collateral-missing'
  | 'not-given'
  | 'platform-has-none'

/** One check. `about` says which part is meant, in words of ours; it may be empty. */
export type EvidenceCheck = { readonly id: EvidenceCheckId } & (
  | { readonly status: 'passed' }
  | { readonly status: 'failed'; readonly code: EvidenceCode; readonly about: string }
  | { readonly status: 'not-checked'; readonly reason: EvidenceReason; readonly about: string }
)

/** The words of a vendor for the firmware of a platform. */
export type TcbStatus =
  | 'UpToDate'
  | 'SWHardeningNeeded'
  | 'ConfigurationNeeded'
  | 'ConfigurationAndSWHardeningNeeded'
  | 'OutOfDate'
  | 'OutOfDateConfigurationNeeded'
  | 'Revoked'

/**
 * What is known of the firmware. `none`: the platform says nothing of it. `unknown`: what would say so is missing or
 * bad, and a check says why. `versions`: the lowest that the platform may run, by component.
 */
export type Tcb =
  | { readonly kind: 'none' | 'unknown' }
  | {
      readonly kind: 'status'
      readonly status: TcbStatus
      readonly advisories: readonly string[]
      readonly evaluationNumber: number
    }
  | {
      readonly kind: 'versions'
      readonly product: string
      readonly versions: ReadonlyMap<string, number>
    }

/**
 * Where the report data went (spec/attestation.md AT1.6): `whole`, as it is; `sha256`, its SHA-256; `gpu`, SHA-256 of
 * "countersign/gpu/v1" and it. One of the values must be it.
 */
export type EvidenceBinding = {
  readonly form: 'whole' | 'sha256' | 'gpu'
  readonly values: readonly Uint8Array[]
}

/** What evidence says. It is worth what the checks are worth. */
export type EvidenceClaims = {
  /** SHA-256 in hex of the root certificate, or of the key set, that stands behind it. */
  readonly root: string
  /** Other pins that it rests on as much: the key of a TPM's challenger. */
  readonly otherPins?: readonly string[]
  readonly binding: EvidenceBinding
  /** Lower-case hex by name. */
  readonly measurements: ReadonlyMap<string, string>
  readonly tcb: Tcb
  /** The chip or instance, in lower-case hex or as the platform writes it; absent when it names none. */
  readonly machine?: string
  /** The platform's own time, milliseconds; absent when it has none. */
  readonly timeMs?: number
  /** What deviates from the safest setting, by name: a policy must allow each. */
  readonly settings: readonly string[]
}

/** How a verifier of a platform ended. `claims` is there when the evidence could be read. */
export type EvidenceAppraisal = {
  readonly platform: Platform
  readonly checks: readonly EvidenceCheck[]
  readonly claims?: EvidenceClaims
}

/** Evidence as it is stored: what the platform gave, and all that is needed to judge it for ever. */
export type PlatformEvidence = {
  readonly raw: Uint8Array
  /** Certificates, revocation lists, vendor statements by the names of spec/attestation.md. */
  readonly collateral: ReadonlyMap<string, Uint8Array>
}

/** What to judge by. Nothing reads a clock; nothing is trusted that is not pinned here. */
export type AppraisalOptions = { readonly asOfMs: number; readonly roots: RootPins }

/** A verifier of one platform. It never throws for bad evidence. */
export type Appraiser = (
  evidence: PlatformEvidence,
  options: AppraisalOptions,
) => Promise<EvidenceAppraisal>

/** The value that a passed check gives to later ones. */
export type EvidenceResult<T> = { readonly value: T } | undefined

/** Runs checks one after another and keeps how each ended. Owns the list. */
export type EvidenceRun = {
  readonly checks: readonly EvidenceCheck[]
  /** An EvidenceError fails the check, an EvidenceNotChecked leaves it open, anything else is a bug and thrown. */
  check<T>(id: EvidenceCheckId, judge: () => T | Promise<T>): Promise<EvidenceResult<T>>
}

/** Thrown inside a check that cannot judge. */
export class EvidenceNotChecked extends Error {
  readonly reason: EvidenceReason
  /** Which part is meant, in words of ours. */
  readonly about: string

  constructor(reason: EvidenceReason, about = '') {
    super(reason)
    this.name = 'EvidenceNotChecked'
    this.reason = reason
    this.about = about
  }
}

/** An empty run. */
export function createEvidenceRun(): EvidenceRun {
  const checks: EvidenceCheck[] = []
  return {
    checks,
    async check(id, judge) {
      try {
        const value = await judge()
        checks.push({ id, status: 'passed' })
        return { value }
      } catch (error) {
        if (error instanceof EvidenceNotChecked) {
          checks.push({ id, status: 'not-checked', reason: error.reason, about: error.about })
        } else if (error instanceof EvidenceError) {
          checks.push({ id, status: 'failed', code: error.code, about: error.about })
        } else throw error
        return undefined
      }
    },
  }
}

/** The value of an earlier check; a check that needs one which did not pass is blocked. */
export function needResult<T>(result: EvidenceResult<T>): T {
  if (result === undefined) throw new EvidenceNotChecked('blocked')
  return result.value
}

/** How a verifier ended: with claims where the evidence could be read. */
export function toAppraisal<T>(
  platform: Platform,
  { checks }: EvidenceRun,
  parsed: EvidenceResult<T>,
  describe: (value: T) => EvidenceClaims,
): EvidenceAppraisal {
  const appraisal = { platform, checks }
  return parsed === undefined ? appraisal : { ...appraisal, claims: describe(parsed.value) }
}

/** A piece of collateral; without it the check stays open. */
export function needCollateral({ collateral }: PlatformEvidence, name: string): Uint8Array {
  const bytes = collateral.get(name)
  if (bytes === undefined) throw new EvidenceNotChecked('collateral-missing', name)
  return bytes
}
