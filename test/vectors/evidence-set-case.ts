/** A case of `vectors/evidence-sets.json`: several pieces of evidence, judged by a policy of evidence. */
import { parseEvidencePolicy } from '@countersign/protocol/attestation/evidence-policy'
import { parseEvidenceSet, type EvidenceSet } from '@countersign/protocol/attestation/evidence-set'
import type { EvidenceVerdict } from '@countersign/protocol/attestation/judge-evidence'
import { verifyEvidenceSet } from '@countersign/protocol/attestation/verify-evidence'
import { fromBase64url, fromHex } from '@countersign/protocol/bytes/text-encoding'
import { ProtocolError } from '@countersign/protocol/errors'
import { compactTexts, expandTexts, type CompactBytes } from './attestation/compact.ts'

/** A verdict as it is compared between implementations: a check is its name, status, and code or reason. */
export type StoredSetVerdict = {
  readonly verdict: EvidenceVerdict['verdict']
  /** Empty where there is none. */
  readonly tier: string
  readonly checks: readonly (readonly [string, string, string])[]
}

/** The verdict about the whole, and about each piece; or why it is no set. */
export type StoredSetOutcome =
  | (StoredSetVerdict & {
      readonly pieces: readonly (StoredSetVerdict & { readonly platform: string })[]
    })
  | { readonly code: string }

/** A case as it stands in the file. */
export type StoredSetCase = {
  readonly name: string
  readonly clause: string
  /** base64url, the text of an evidence policy. */
  readonly policy: string
  /** base64url, AT19.1. */
  readonly data: string
  /** Milliseconds. */
  readonly asOf: number
  readonly knownSince?: number
  /** Hex, 64 bytes. */
  readonly reportData?: string
  readonly expect: StoredSetOutcome
}

/** A case as the file has it: its data whole, or by the difference to that of an earlier case. */
export type CompactSetCase = Omit<StoredSetCase, 'data'> & { readonly data: CompactBytes }

/** The cases in the same order. */
export function compactSetCases(cases: readonly StoredSetCase[]): readonly CompactSetCase[] {
  const compact = compactTexts(cases.map(({ data }) => data))
  return cases.map((given, at) => ({ ...given, data: compact[at] ?? given.data }))
}

/** The cases as they were. */
export function expandSetCases(cases: readonly CompactSetCase[]): readonly StoredSetCase[] {
  const texts = expandTexts(cases.map(({ data }) => data))
  return cases.map((given, at) => ({ ...given, data: texts[at] ?? '' }))
}

/** What comes out of a case. */
export async function judgeStoredSet({
  policy,
  data,
  asOf,
  knownSince,
  reportData,
}: Omit<StoredSetCase, 'expect'>): Promise<StoredSetOutcome> {
  let set: EvidenceSet
  try {
    set = parseEvidenceSet(decode(fromBase64url(data)))
  } catch (error) {
    if (error instanceof ProtocolError) return { code: error.code }
    throw error
  }
  const verdict = await verifyEvidenceSet(set, parseEvidencePolicy(decode(fromBase64url(policy))), {
    asOfMs: asOf,
    ...(knownSince === undefined ? {} : { knownSinceMs: knownSince }),
    ...(reportData === undefined ? {} : { reportData: decode(fromHex(reportData)) }),
  })
  const pieces = verdict.pieces ?? []
  return {
    ...toStored(verdict),
    pieces: pieces.map((piece) => ({ platform: piece.platform, ...toStored(piece) })),
  }
}

function toStored({ verdict, tier, checks }: EvidenceVerdict): StoredSetVerdict {
  return {
    verdict,
    tier: tier ?? '',
    checks: checks.map((check) => {
      if (check.status === 'passed') return [check.id, check.status, '']
      return [check.id, check.status, check.status === 'failed' ? check.code : check.reason]
    }),
  }
}

function decode(bytes: Uint8Array | undefined): Uint8Array {
  if (bytes === undefined) throw new Error('a vector is not encoded as it should be')
  return bytes
}
