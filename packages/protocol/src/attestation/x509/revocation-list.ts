/** Certificate revocation lists (spec/attestation.md AT4). */
import { equalBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import { needCollateral, type PlatformEvidence } from '../appraisal.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { openSigned, verifySigned, type SignedDer } from './algorithm.ts'
import { parseExtensions, type Certificate } from './certificate.ts'
import type { DerReader } from './der.ts'
import { sequenceTag, signsLists } from './der-numbers.ts'
import { takeTime } from './time.ts'

/** A parsed list. Nothing in it is verified. Dates are milliseconds. */
export type RevocationList = {
  readonly issuer: Uint8Array
  readonly thisUpdateMs: number
  readonly nextUpdateMs: number
  /** When each serial (magnitude in hex) was revoked. */
  readonly revoked: ReadonlyMap<string, number>
  readonly signed: SignedDer
}

/** Most bytes of one list. */
export const maxRevocationListBytes = 262_144

const code = 'crl-malformed'

/**
 * Parses one list of version 2 that names its next update and has no critical extension.
 *
 * @throws EvidenceError `crl-malformed`, `certificate-algorithm`.
 */
export function parseRevocationList(encoded: Uint8Array): RevocationList {
  refuseUnless(encoded.length <= maxRevocationListBytes, code)
  return openSigned(encoded, code, parseBody)
}

/**
 * Refuses certificates that are revoked by the list of their issuer, which is a piece of collateral.
 *
 * @throws EvidenceError `crl-…`, `chain-key-usage`, `certificate-revoked`; EvidenceNotChecked `collateral-missing`.
 */
export async function checkRevocation(
  evidence: PlatformEvidence,
  name: string,
  issuer: Certificate,
  certificates: readonly Certificate[],
  asOfMs: number,
): Promise<void> {
  const list = parseRevocationList(needCollateral(evidence, name))
  await checkRevocationList(list, issuer, asOfMs)
  for (const certificate of certificates) checkNotRevoked(list, certificate, asOfMs)
}

/**
 * Refuses a list that this issuer did not sign, or that was not in force at the time.
 *
 * @throws EvidenceError `crl-issuer-mismatch`, `chain-key-usage`, `crl-signature-invalid`, `crl-not-yet-valid`,
 *   `crl-expired`.
 */
export async function checkRevocationList(
  list: RevocationList,
  issuer: Certificate,
  asOfMs: number,
): Promise<void> {
  refuseUnless(equalBytes(list.issuer, issuer.subject), 'crl-issuer-mismatch')
  refuseUnless((issuer.keyUsage & signsLists) !== 0, 'chain-key-usage')
  refuseUnless(await verifySigned(list.signed, issuer.publicKey), 'crl-signature-invalid')
  refuseUnless(asOfMs >= list.thisUpdateMs, 'crl-not-yet-valid')
  refuseUnless(asOfMs <= list.nextUpdateMs, 'crl-expired')
}

/**
 * Refuses a certificate that the list of its issuer has as revoked by then.
 *
 * @throws EvidenceError `crl-issuer-mismatch`, `certificate-revoked`.
 */
export function checkNotRevoked(
  list: RevocationList,
  { issuer, serial }: Certificate,
  asOfMs: number,
): void {
  refuseUnless(equalBytes(list.issuer, issuer), 'crl-issuer-mismatch')
  refuseUnless((list.revoked.get(serial) ?? Infinity) > asOfMs, 'certificate-revoked')
}

function parseBody(tbs: DerReader): {
  algorithm: Uint8Array
  value: Omit<RevocationList, 'signed'>
} {
  // Version 2 is written as 1.
  refuseUnless(tbs.small() === 1, code)
  const algorithm = tbs.take(sequenceTag).encoded
  const issuer = tbs.take(sequenceTag).encoded
  const thisUpdateMs = takeTime(tbs, code)
  const nextUpdateMs = takeTime(tbs, code)
  const revoked = new Map<string, number>()
  if (tbs.peek() === sequenceTag) {
    for (const entry of tbs.open(sequenceTag).openAll()) takeEntry(entry, revoked)
  }
  if (tbs.peek() !== undefined) {
    const wrapper = tbs.open(0xa0)
    refuseCritical(wrapper)
    wrapper.finish()
  }
  return { algorithm, value: { issuer, thisUpdateMs, nextUpdateMs, revoked } }
}

function takeEntry(entry: DerReader, revoked: Map<string, number>): void {
  const serial = toHex(entry.unsigned())
  const revokedAtMs = takeTime(entry, code)
  if (entry.peek() !== undefined) refuseCritical(entry)
  entry.finish()
  refuseUnless(!revoked.has(serial), code)
  revoked.set(serial, revokedAtMs)
}

/** A critical extension narrows a list (to some reasons, to changes only): then absence from it says nothing. */
function refuseCritical(fields: DerReader): void {
  const extensions = parseExtensions(fields.open(sequenceTag), code)
  for (const { isCritical } of extensions.values()) refuseUnless(!isCritical, code)
}
