/** Every refusal of evidence: one closed table. Codes are those of spec/attestation.md. */

/**
 * What a refusal says. `evidence`: the evidence is bad, trust nothing of it. `policy`: the evidence may be good, the
 * policy does not take it. `input`: what was passed in beside the evidence is wrong.
 */
export type EvidenceFamily = 'evidence' | 'policy' | 'input'

const table = {
  'azure-key-mismatch': [
    'evidence',
    'the key that quotes is not the one that the paravisor states',
  ],
  'azure-paravisor': ['evidence', 'the report was not made for the paravisor but for the guest'],
  'azure-runtime-data': ['evidence', 'the hardware does not vouch for what the paravisor states'],
  'binding-mismatch': ['evidence', 'the evidence is bound to other keys or another nonce'],
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
  'collateral-expired': ['evidence', 'a statement of the vendor had ended at the time judged'],
  'collateral-malformed': ['evidence', 'a statement of the vendor is not as specified'],
  'collateral-not-yet-valid': [
    'evidence',
    'a statement of the vendor had not begun at the time judged',
  ],
  'collateral-signature-invalid': [
    'evidence',
    'the signature of a statement of the vendor does not verify',
  ],
  'crl-expired': ['evidence', 'a revocation list had ended at the time judged'],
  'crl-issuer-mismatch': ['evidence', 'a revocation list is of another issuer'],
  'crl-malformed': ['evidence', 'a revocation list is not strict DER'],
  'crl-not-yet-valid': ['evidence', 'a revocation list had not begun at the time judged'],
  'crl-signature-invalid': ['evidence', 'the signature of a revocation list does not verify'],
  'debug-enabled': ['evidence', 'the platform runs in a mode in which others can look inside'],
  'event-log-malformed': ['evidence', 'an event log is not as specified'],
  'event-log-mismatch': ['evidence', 'an event log does not lead to what was measured'],
  'evidence-age-not-allowed': ['policy', 'the evidence is older than the policy allows'],
  'evidence-in-future': ['evidence', 'the evidence is dated in the future'],
  'evidence-signature-invalid': ['evidence', 'the signature of the evidence does not verify'],
  'key-not-confirmed': ['evidence', 'nobody has shown to hold the keys that the evidence names'],
  'machine-not-allowed': ['policy', 'the machine is none that the policy lists'],
  'measurement-not-allowed': ['policy', 'the measured code is none that the policy lists'],
  'migration-enabled': ['evidence', 'the guest can be moved by a party that nobody measured'],
  'nitro-instance-mismatch': [
    'evidence',
    'PCR 4 is not the hash of the instance that the document names',
  ],
  'nitro-kind-mismatch': [
    'evidence',
    'a NitroTPM document stands in place of one of an enclave, or the reverse',
  ],
  'nitro-malformed': ['evidence', 'a Nitro document is not as AWS writes it'],
  'nvidia-firmware-mismatch': ['evidence', 'the report names other firmware than the certificate'],
  'nvidia-malformed': ['evidence', 'a GPU report is not the SPDM 1.1 exchange that it must be'],
  'pck-malformed': ['evidence', 'a processor certificate does not say what the processor is'],
  'pem-malformed': ['evidence', 'a PEM text is not canonical'],
  'platform-not-allowed': ['policy', 'the policy does not take this kind of evidence'],
  'qe-identity-mismatch': ['evidence', 'the quoting enclave is none of the vendor'],
  'quote-key-mismatch': ['evidence', 'the quoting enclave did not vouch for the key of the quote'],
  'quote-malformed': ['evidence', 'a quote is not as Intel specifies it'],
  'quote-platform-mismatch': ['evidence', 'the quote is of another kind than its place asks for'],
  'quote-version-unsupported': ['evidence', 'this version of the quote is not known here'],
  'root-not-allowed': ['policy', 'the policy does not take evidence under this root'],
  'setting-not-allowed': ['policy', 'the policy does not allow a setting of the platform'],
  'signature-malformed': ['evidence', 'a signature has not the form of its algorithm'],
  'snp-chip-mismatch': ['evidence', 'the certificate is for another chip than the report'],
  'snp-malformed': ['evidence', 'a report is not as AMD specifies it'],
  'snp-product-mismatch': [
    'evidence',
    'report, certificate and authorities are not of one product',
  ],
  'snp-product-unknown': ['evidence', 'the processor of the report is none that is known here'],
  'snp-tcb-mismatch': ['evidence', 'the certificate is for another firmware than the report'],
  'snp-version-unsupported': ['evidence', 'this version of the report is not known here'],
  'tcb-advisory-not-allowed': ['policy', 'the policy does not accept an advisory that applies'],
  'tcb-evaluation-not-allowed': [
    'policy',
    'the statement about firmware is older than the policy asks for',
  ],
  'tcb-level-missing': ['evidence', 'the vendor knows no level of firmware as low as this'],
  'tcb-platform-mismatch': ['evidence', 'the statement about firmware is for other platforms'],
  'tcb-revoked': ['evidence', 'the vendor has revoked this firmware'],
  'tcb-status-not-allowed': ['policy', 'the policy does not take firmware in this state'],
  'tcb-version-not-allowed': ['policy', 'the firmware is older than the policy asks for'],
  'td-attributes': ['evidence', 'the domain has attributes that are reserved'],
  'tdx-module-mismatch': ['evidence', 'the module that keeps domains apart is none of the vendor'],
  'token-algorithm': ['evidence', 'a token is not signed by the algorithm of its issuer'],
  'token-audience-mismatch': ['evidence', 'a token was made for another audience'],
  'token-claim-missing': ['evidence', 'a token lacks a claim that must be there'],
  'token-claim-refused': ['evidence', 'a token claims what cannot be taken'],
  'token-expired': ['evidence', 'a token had ended at the time judged'],
  'token-issuer-mismatch': ['evidence', 'a token is of another issuer'],
  'token-key-unknown': ['evidence', 'the key set has no key of the name that a token gives'],
  'token-keys-malformed': ['evidence', 'a key set is not as specified'],
  'token-malformed': ['evidence', 'a token is not a signed JSON web token of the form taken'],
  'token-not-yet-valid': ['evidence', 'a token had not begun at the time judged'],
  'token-submodule-mismatch': [
    'evidence',
    'a token of a device is not the one that the whole token names',
  ],
  'tpm-challenge-failed': ['evidence', 'a TPM did not give back the secret of its challenge'],
  'tpm-challenger-untrusted': ['evidence', 'nobody whose challenges are trusted enrolled this TPM'],
  'tpm-endorsement-certificate': ['evidence', 'a certificate is not for the endorsement of a TPM'],
  'tpm-enrolment-invalid': ['evidence', 'the challenger has not signed this enrolment record'],
  'tpm-enrolment-mismatch': ['evidence', 'the key that quotes is not the one that was enrolled'],
  'tpm-enrolment-not-valid': ['evidence', 'the enrolment was not in force at the time judged'],
  'tpm-key': ['evidence', 'a key of a TPM is not of the kind that it must be'],
  'tpm-malformed': ['evidence', 'evidence of a TPM is not as specified'],
  'tpm-pcr-mismatch': ['evidence', 'the PCR values are not the ones that were signed'],
  'tpm-quote-signature-invalid': ['evidence', 'the signature of a TPM quote does not verify'],
} as const

/** All codes that the appraisal of evidence can report. */
export type EvidenceCode = keyof typeof table

/** Every code, in ascending order. A function, so that a bundle without it carries no table. */
export function listEvidenceCodes(): ReadonlySet<string> {
  return new Set(Object.keys(table))
}

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

/** Refuses: for whatever has no value to go on with (`found ?? refuse(code)`). */
export function refuse(code: EvidenceCode, about?: string, cause?: unknown): never {
  throw new EvidenceError(code, about, { cause })
}

/** Refuses what is not so. Written as what must hold: a comparison with something that is no number holds never. */
export function refuseUnless(holds: unknown, code: EvidenceCode, about?: string): asserts holds {
  if (holds !== true) refuse(code, about)
}
