/** Certificate revocation lists (spec/attestation.md AT4). */
import { equalBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { openSigned, verifySigned, type SignedDer } from './algorithm.ts'
import { parseExtensions, type Certificate } from './certificate.ts'
import { derTags, type DerReader } from './der.ts'
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
  if (encoded.length > maxRevocationListBytes) throw new EvidenceError(code)
  const { signed, value } = openSigned(encoded, code, parseBody)
  return { ...value, signed }
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
  if (!equalBytes(list.issuer, issuer.subject)) throw new EvidenceError('crl-issuer-mismatch')
  if (issuer.keyUsage?.signsLists === false) throw new EvidenceError('chain-key-usage')
  const isSigned = await verifySigned(list.signed, issuer.publicKey)
  if (!isSigned) throw new EvidenceError('crl-signature-invalid')
  if (!(asOfMs >= list.thisUpdateMs)) throw new EvidenceError('crl-not-yet-valid')
  if (asOfMs > list.nextUpdateMs) throw new EvidenceError('crl-expired')
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
  if (!equalBytes(list.issuer, issuer)) throw new EvidenceError('crl-issuer-mismatch')
  const revokedAtMs = list.revoked.get(serial)
  if (revokedAtMs !== undefined && !(revokedAtMs > asOfMs)) {
    throw new EvidenceError('certificate-revoked')
  }
}

function parseBody(tbs: DerReader): {
  algorithm: Uint8Array
  value: Omit<RevocationList, 'signed'>
} {
  // Version 2 is written as 1.
  if (tbs.small() !== 1) throw new EvidenceError(code)
  const algorithm = tbs.take(derTags.sequence).encoded
  const issuer = tbs.take(derTags.sequence).encoded
  const thisUpdateMs = takeTime(tbs, code)
  const nextUpdateMs = takeTime(tbs, code)
  const revoked = new Map<string, number>()
  if (tbs.peek() === derTags.sequence) {
    const entries = tbs.open(derTags.sequence)
    while (entries.peek() !== undefined) takeEntry(entries, revoked)
  }
  if (tbs.peek() !== undefined) {
    const wrapper = tbs.open(0xa0)
    refuseCritical(wrapper)
    wrapper.finish()
  }
  return { algorithm, value: { issuer, thisUpdateMs, nextUpdateMs, revoked } }
}

function takeEntry(entries: DerReader, revoked: Map<string, number>): void {
  const entry = entries.open(derTags.sequence)
  const serial = toHex(entry.unsigned())
  const revokedAtMs = takeTime(entry, code)
  if (entry.peek() !== undefined) refuseCritical(entry)
  entry.finish()
  if (revoked.has(serial)) throw new EvidenceError(code)
  revoked.set(serial, revokedAtMs)
}

/** A critical extension narrows a list (to some reasons, to changes only): then absence from it says nothing. */
function refuseCritical(fields: DerReader): void {
  const extensions = parseExtensions(fields.open(derTags.sequence), code)
  for (const { isCritical } of extensions.values()) {
    if (isCritical) throw new EvidenceError(code)
  }
}
