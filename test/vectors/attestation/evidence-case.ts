/** A case of `vectors/attestation/`: evidence, what it is judged by, and what its author says must come out. */
import type {
  Appraiser,
  EvidenceAppraisal,
  EvidenceCheckId,
  EvidenceReason,
  Platform,
} from '@countersign/protocol/attestation/appraisal'
import type { EvidenceCode } from '@countersign/protocol/attestation/evidence-errors'
import { fromBase64url, toBase64url } from '@countersign/protocol/bytes/text-encoding'

/** One case. `failed` lists every check that fails, and the code of each; `open` some that are not checked. */
export type EvidenceCase = {
  readonly name: string
  readonly clause: string
  readonly platform: Platform
  readonly raw: Uint8Array
  readonly collateral?: ReadonlyMap<string, Uint8Array>
  readonly asOfMs: number
  /** SHA-256 in hex of the pinned roots. */
  readonly roots: readonly string[]
  readonly failed?: Readonly<Partial<Record<EvidenceCheckId, EvidenceCode>>>
  readonly open?: Readonly<Partial<Record<EvidenceCheckId, EvidenceReason>>>
}

/** A case as it stands in the file: byte strings are base64url. */
export type StoredEvidenceCase = {
  readonly name: string
  readonly clause: string
  readonly platform: Platform
  readonly raw: string
  readonly collateral: Readonly<Record<string, string>>
  readonly asOf: number
  readonly roots: readonly string[]
  readonly expect: StoredAppraisal
}

/** What is compared between implementations: check, status, and the code or reason. */
export type StoredAppraisal = {
  readonly checks: readonly (readonly [string, string, string])[]
}

/** The verifier of each platform. */
export type Appraisers = Readonly<Partial<Record<Platform, Appraiser>>>

/**
 * Judges a case and gives it as it is stored.
 *
 * @throws Error when what comes out is not what the author of the case named.
 */
export async function judgeEvidenceCase(
  given: EvidenceCase,
  appraisers: Appraisers,
): Promise<StoredEvidenceCase> {
  const { name, clause, platform, raw, collateral = new Map(), asOfMs, roots } = given
  const stored = {
    name,
    clause,
    platform,
    raw: toBase64url(raw),
    collateral: Object.fromEntries(
      [...collateral].map(([part, bytes]) => [part, toBase64url(bytes)] as const),
    ),
    asOf: asOfMs,
    roots,
  }
  const outcome = await appraiseStored(stored, appraisers)
  refuseSurprise(given, outcome)
  return { ...stored, expect: outcome }
}

/** Appraises what stands in a file. */
export async function appraiseStored(
  { platform, raw, collateral, asOf, roots }: Omit<StoredEvidenceCase, 'expect'>,
  appraisers: Appraisers,
): Promise<StoredAppraisal> {
  const appraise = appraisers[platform]
  if (appraise === undefined) throw new Error(`no verifier for ${platform}`)
  const parts = Object.entries(collateral).map(([part, text]) => [part, decode(text)] as const)
  const evidence = { raw: decode(raw), collateral: new Map(parts) }
  return storeAppraisal(await appraise(evidence, { asOfMs: asOf, roots: new Set(roots) }))
}

function storeAppraisal({ checks }: EvidenceAppraisal): StoredAppraisal {
  return {
    checks: checks.map((check) => {
      if (check.status === 'passed') return [check.id, check.status, '']
      return [check.id, check.status, check.status === 'failed' ? check.code : check.reason]
    }),
  }
}

function refuseSurprise(
  { name, failed = {}, open = {} }: EvidenceCase,
  { checks }: StoredAppraisal,
): void {
  const found = checks.filter(([, status]) => status === 'failed').map(([id, , code]) => [id, code])
  const wanted = Object.entries(failed)
  const isSame = sorted(found) === sorted(wanted)
  const isOpen = Object.entries(open).every(([id, reason]) =>
    checks.some((check) => check[0] === id && check[1] === 'not-checked' && check[2] === reason),
  )
  if (!isSame || !isOpen) throw new Error(`"${name}" gave ${JSON.stringify(checks)}`)
}

function sorted(pairs: readonly (readonly unknown[])[]): string {
  return pairs.map(String).toSorted().join(' ')
}

function decode(text: string): Uint8Array {
  const bytes = fromBase64url(text)
  if (bytes === undefined) throw new Error('a vector is not base64url')
  return bytes
}
