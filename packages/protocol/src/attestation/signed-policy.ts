/** Evidence policies that somebody signed (spec/attestation.md AT8.13): who publishes a build says what to ask of it. */
import { equalBytes } from '../bytes/byte-string.ts'
import { openMap } from '../bytes/map-reader.ts'
import type { Es256Signer } from '../crypto/es256.ts'
import { ProtocolError } from '../errors.ts'
import {
  judgeCoseSignature,
  keyId,
  parseCoseHeader,
  parseCoseSign1,
  signCoseSign1,
} from '../receipt/cose.ts'

/** Who says it, and when it holds: seconds since 1970, the last not included. */
export type PolicyTerms = {
  readonly issuer: string
  readonly issuedAtSeconds: number
  readonly expiresAtSeconds: number
}

/** A policy whose signature was checked. `policyBytes` are for `parseEvidencePolicy`. */
export type OpenedPolicy = PolicyTerms & { readonly policyBytes: Uint8Array }

const contentType = 'application/countersign-evidence-policy+json'
const cwtClaims = 15
const maxSignedPolicyBytes = 66_560

/** Signs the bytes of a policy; they are not looked at. */
export function signPolicy(
  policyBytes: Uint8Array,
  { issuer, issuedAtSeconds, expiresAtSeconds }: PolicyTerms,
  signer: Es256Signer,
): Uint8Array {
  const claims = new Map<number, string | number>([
    [1, issuer],
    [4, expiresAtSeconds],
    [6, issuedAtSeconds],
  ])
  return signCoseSign1(contentType, [[cwtClaims, claims]], policyBytes, signer)
}

/**
 * Opens a signed policy.
 *
 * @param signers - the keys that are taken, x ‖ y each; none takes nothing.
 * @param nowMs - the verifier's own time: an old policy says what was thought of old code.
 * @param issuedFromSeconds - policies that were signed before are withdrawn: the latest `issuedAtSeconds` that the
 *   caller has taken of these signers.
 * @throws ProtocolError `cbor-…`, `cose-…`, `signature-invalid`, `policy-signer-unknown`, `policy-expired`,
 *   `policy-withdrawn`.
 */
export async function openSignedPolicy(
  bytes: Uint8Array,
  signers: readonly Uint8Array[],
  nowMs: number,
  issuedFromSeconds = 0,
): Promise<OpenedPolicy> {
  const cose = parseCoseSign1(bytes, maxSignedPolicyBytes)
  const { kid, fields } = parseCoseHeader(cose.protectedBytes, contentType, [cwtClaims])
  const claims = openMap(fields.value(cwtClaims), [1, 4, 6], [], 'cose-header-malformed')
  const terms = {
    issuer: claims.text(1, 1, 255),
    issuedAtSeconds: claims.integer(6),
    expiresAtSeconds: claims.integer(4),
  }
  const signer = signers.find((key) => equalBytes(keyId(key), kid))
  if (signer === undefined) throw new ProtocolError('policy-signer-unknown')
  const refused = await judgeCoseSignature(cose, signer)
  if (refused !== undefined) throw new ProtocolError(refused)
  const nowSeconds = nowMs / 1000
  // Both are false for a time that is not a number: refused, not passed.
  const holds = terms.issuedAtSeconds <= nowSeconds && nowSeconds < terms.expiresAtSeconds
  if (!holds) throw new ProtocolError('policy-expired')
  const isCurrent = terms.issuedAtSeconds >= issuedFromSeconds
  if (!isCurrent) throw new ProtocolError('policy-withdrawn')
  return { ...terms, policyBytes: cose.payloadBytes }
}
