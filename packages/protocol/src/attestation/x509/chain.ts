/** Whether a chain of certificates holds (spec/attestation.md AT3). Chains are written root first. */
import { equalBytes } from '../../bytes/byte-string.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { verifySigned } from './algorithm.ts'
import { understoodExtensions, type Certificate } from './certificate.ts'
import { signsAnything, signsCertificates } from './der-numbers.ts'

/** Root certificates that are trusted: SHA-256 of their DER in hex. There is no way to say "any root". */
export type RootPins = ReadonlySet<string>

/** The first certificate of a chain and the last. */
export function endsOf(chain: readonly Certificate[]): {
  readonly root: Certificate
  readonly leaf: Certificate
} {
  const [root] = chain
  const leaf = chain.at(-1)
  refuseUnless(root !== undefined && leaf !== undefined, 'chain-length')
  return { root, leaf }
}

/**
 * Refuses a chain whose root is not pinned: the one that travels in evidence is never believed by itself.
 *
 * @throws EvidenceError `chain-root-untrusted`, `chain-length` for a chain of none.
 */
export function checkRoot(chain: readonly Certificate[], pins: RootPins): void {
  refuseUnless(pins.has(endsOf(chain).root.digest), 'chain-root-untrusted')
}

/**
 * Refuses a chain in which a certificate was not issued by the one above it, or not rightly so. The root's signature
 * on itself is not judged: its pin covers every byte of it.
 *
 * @param understood - critical extensions that the caller judges itself, besides those that this does.
 * @throws EvidenceError `chain-length`, `certificate-extension-critical`, `chain-issuer-mismatch`, `chain-not-ca`,
 *   `chain-key-usage`, `chain-path-length`, `chain-signature-invalid`.
 */
export async function checkIssuance(
  chain: readonly Certificate[],
  understood: ReadonlySet<string> = understoodExtensions,
): Promise<void> {
  endsOf(chain)
  let above: Certificate | undefined
  for (const [depth, certificate] of chain.entries()) {
    for (const [id, { isCritical }] of certificate.extensions) {
      const isUnderstood = understoodExtensions.has(id) || understood.has(id)
      refuseUnless(isUnderstood || !isCritical, 'certificate-extension-critical')
    }
    // Authorities that may stand between the one above and the leaf.
    if (above !== undefined) await checkIssued(certificate, above, chain.length - 1 - depth)
    above = certificate
  }
}

/**
 * Refuses a chain that has an end outside its dates, both included.
 *
 * @throws EvidenceError `certificate-not-yet-valid`, `certificate-expired`.
 */
export function checkDates(chain: readonly Certificate[], asOfMs: number): void {
  for (const { notBeforeMs, notAfterMs } of chain) {
    refuseUnless(asOfMs >= notBeforeMs, 'certificate-not-yet-valid')
    refuseUnless(asOfMs <= notAfterMs, 'certificate-expired')
  }
}

/**
 * Refuses a leaf whose certificate says that its key does not sign, or that it is an authority: what an authority
 * signs could not be told from what it certifies.
 *
 * @throws EvidenceError `chain-key-usage`.
 */
export function checkSigner({ authority, keyUsage }: Certificate): void {
  refuseUnless(authority === undefined && (keyUsage & signsAnything) !== 0, 'chain-key-usage')
}

async function checkIssued(
  certificate: Certificate,
  issuer: Certificate,
  authoritiesBelow: number,
): Promise<void> {
  const { subject, authority, keyUsage, publicKey } = issuer
  refuseUnless(equalBytes(certificate.issuer, subject), 'chain-issuer-mismatch')
  const { maxPathLength } = authority ?? refuse('chain-not-ca')
  refuseUnless((keyUsage & signsCertificates) !== 0, 'chain-key-usage')
  refuseUnless(maxPathLength >= authoritiesBelow, 'chain-path-length')
  refuseUnless(await verifySigned(certificate.signed, publicKey), 'chain-signature-invalid')
}
