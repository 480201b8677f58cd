/** Every refusal of evidence: one closed table. Codes are those of spec/attestation.md. */

/**
 * What a refusal says. `evidence`: the evidence is bad, trust nothing of it. `policy`: the evidence may be good, the
 * policy does not take it. `input`: what was passed in beside the evidence is wrong.
 */
export type EvidenceFamily = 'evidence' | 'policy' | 'input'

const table = {
  'certificate-algorithm': ['evidence', 'a certificate has an algorithm that is not taken'],
  'certificate-expired': ['evidence', 'a certificate had ended at the time judged'],
  'certificate-extension-critical': ['evidence', 'a critical extension is not understood'],
  'certificate-key': ['evidence', 'a certificate has a key that is not taken'],
  'certificate-malformed': ['evidence', 'a certificate is not strict DER of X.509 version 3'],
  'certificate-not-yet-valid': ['evidence', 'a certificate had not begun at the time judged'],
  'certificate-revoked': ['evidence', 'a certificate was revoked at the time judged'],
  'chain-issuer-mismatch': ['evidence', 'a certificate names another issuer than the one above it'],
  'chain-key-usage': ['evidence', 'a key signed what its certificate does not allow it to'],
  'chain-length': ['evidence', 'the chain has not the number of certificates that it must have'],
  'chain-not-ca': ['evidence', 'a certificate that is no authority issued another'],
  'chain-path-length': ['evidence', 'more authorities follow than a certificate allows'],
  'chain-root-untrusted': ['evidence', 'the root is none of the pinned ones'],
  'chain-signature-invalid': ['evidence', 'the signature of a certificate does not verify'],
  'crl-expired': ['evidence', 'a revocation list had ended at the time judged'],
  'crl-issuer-mismatch': ['evidence', 'a revocation list is of another issuer'],
  'crl-malformed': ['evidence', 'a revocation list is not strict DER'],
  'crl-not-yet-valid': ['evidence', 'a revocation list had not begun at the time judged'],
  'crl-signature-invalid': ['evidence', 'the signature of a revocation list does not verify'],
  'pem-malformed': ['evidence', 'a PEM text is not canonical'],
  'signature-malformed': ['evidence', 'a signature has not the form of its algorithm'],
} as const

/** All codes that the appraisal of evidence can report. */
export type EvidenceCode = keyof typeof table

/** Every code, in ascending order. */
export const evidenceCodes: ReadonlySet<string> = /* @__PURE__ */ new Set(Object.keys(table))

/** What a code means in one sentence. */
export function describeEvidenceCode(code: EvidenceCode): {
  family: EvidenceFamily
  message: string
} {
  const [family, message] = table[code]
  return { family, message }
}

/** The only error that parsers of evidence throw for what they were given. */
export class EvidenceError extends Error {
  readonly code: EvidenceCode
  /** Which part is meant, in words of ours. */
  readonly about: string

  constructor(code: EvidenceCode, about = '', options?: { cause?: unknown }) {
    super(about === '' ? code : `${code}: ${about}`, options)
    this.name = 'EvidenceError'
    this.code = code
    this.about = about
  }
}
