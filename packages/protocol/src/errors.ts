/** Every refusal of this package: one closed table. Codes are those of spec/, where each is defined. */

/** What the person who meets the error should do. `evidence`: trust nothing of it. `input`: fix what you passed in. */
export type ErrorFamily = 'evidence' | 'input'

const table = {
  'build-not-allowed': ['evidence', 'the policy does not accept this build'],
  'bundle-base64': ['input', 'a member of the bundle is not strict base64url'],
  'bundle-malformed': ['input', 'the bundle has missing, unknown or ill-typed members'],
  'bundle-not-json': ['input', 'the bundle is not strict JSON'],
  'bundle-too-large': ['input', 'the bundle is larger than the limit'],
  'bundle-version-unsupported': ['input', 'this version of the bundle is not known here'],
  'cbor-duplicate-key': ['evidence', 'a CBOR map has equal keys'],
  'cbor-invalid-utf8': ['evidence', 'a CBOR text is not UTF-8'],
  'cbor-not-canonical': ['evidence', 'the CBOR is not in deterministic form'],
  'cbor-too-deep': ['evidence', 'the CBOR is nested too deep'],
  'cbor-too-large': ['evidence', 'the CBOR is larger than the limit of its place'],
  'cbor-trailing-bytes': ['evidence', 'bytes follow the CBOR item'],
  'cbor-truncated': ['evidence', 'the CBOR ends early'],
  'cbor-unsupported-type': ['evidence', 'the CBOR holds a type that statements do not use'],
  'charge-exceeds-price': ['evidence', 'the charge is higher than the price'],
  'claim-malformed': ['evidence', 'a claim is not [salt, name, value]'],
  'claim-missing': ['evidence', 'a claim that must exist does not'],
  'claim-schema': ['evidence', 'a claim has not the shape of its name'],
  'claims-count-mismatch': ['evidence', 'the number of claims is not the one that was signed'],
  'claims-not-sorted': ['evidence', 'the claims are not in ascending order of their names'],
  'claims-root-mismatch': ['evidence', 'the claims are not the ones that were signed'],
  'configuration-not-allowed': ['evidence', 'the policy does not accept this configuration'],
  'cose-algorithm-unsupported': ['evidence', 'the signature algorithm is not ES256'],
  'cose-header-malformed': ['evidence', 'the protected header is not as specified'],
  'cose-malformed': ['evidence', 'not a tagged COSE_Sign1'],
  'cose-signature-high-s': ['evidence', 'the signature has a high s'],
  'cose-signature-malformed': ['evidence', 'the signature is not 64 bytes r and s in range'],
  'cose-unprotected-not-empty': ['evidence', 'the unprotected header is not empty'],
  'event-chain-mismatch': ['evidence', 'the events are not the ones that were signed'],
  'evidence-binding-mismatch': ['evidence', 'the evidence is bound to another keyset or nonce'],
  'evidence-chain-invalid': ['evidence', 'the chain of signatures of the evidence does not hold'],
  'evidence-expired': ['evidence', 'the quote lies outside the dates of its endorsement'],
  'evidence-kind-refused': ['evidence', 'the policy does not accept this kind of evidence'],
  'evidence-malformed': ['evidence', 'the evidence is not as specified'],
  'evidence-measurement-mismatch': ['evidence', 'the measured code is not the build of the keyset'],
  'evidence-root-refused': ['evidence', 'the policy does not accept this root'],
  'identity-broken': ['evidence', 'bytes declared identical are not'],
  'issuer-not-allowed': ['evidence', 'the policy does not accept this issuer'],
  'keyset-digest-mismatch': ['evidence', 'the statement names another keyset'],
  'keyset-issuer-mismatch': ['evidence', 'the statement names another issuer than the keyset'],
  'keyset-key-not-listed': ['evidence', 'the signing key is not in the keyset'],
  'keyset-lifetime': ['evidence', 'the keyset lives longer than a day, or not at all'],
  'keyset-malformed': ['evidence', 'the keyset document is not as specified'],
  'keyset-not-valid-at-time': [
    'evidence',
    'the statement was signed outside the dates of the keyset',
  ],
  'nonce-mismatch': ['evidence', 'the nonce is not the one that the caller sent'],
  'payload-malformed': ['evidence', 'the payload has missing, unknown or ill-typed fields'],
  'payload-type-unsupported': [
    'evidence',
    'the statement is of another type than its place asks for',
  ],
  'payload-version-unsupported': ['evidence', 'this version of the statement is not known here'],
  'policy-empty': ['input', 'a policy that requires nothing accepts nothing'],
  'policy-expired': ['input', 'the signed policy does not hold at this time'],
  'policy-malformed': ['input', 'the policy is not as specified'],
  'policy-signer-unknown': ['evidence', 'the policy is signed by none of the keys that are taken'],
  'policy-withdrawn': ['input', 'the signed policy is older than the latest one of its signer'],
  'refusal-charged': ['evidence', 'a refusal charges money'],
  'request-bytes-mismatch': ['evidence', 'the request held is not the one that was signed'],
  'response-bytes-mismatch': ['evidence', 'the response held is not the one that was signed'],
  'response-prefix-not-at-event-end': ['input', 'the prefix held does not end where an event ends'],
  'response-prefix-unprovable': ['input', 'the bundle has nothing to prove a prefix with'],
  'served-model-mismatch': ['evidence', 'the provider named another model than was asked for'],
  'signature-invalid': ['evidence', 'the signature does not verify'],
  'statement-in-future': ['evidence', 'the statement is dated in the future'],
  'statement-subject-mismatch': ['evidence', 'the subject is not the type and id of the payload'],
  'statement-too-old': ['evidence', 'the statement is older than the policy allows'],
  'terms-malformed': ['evidence', 'the terms of the operator are not as specified'],
  'upstream-not-allowed': [
    'evidence',
    'the gateway could forward to a host that the policy does not accept',
  ],
  'upstream-not-listed': ['evidence', 'the call went to a host that the keyset does not list'],
} as const

/** All codes that verification can report. */
export type ErrorCode = keyof typeof table

// Marked, so that a bundle that needs no sentences carries none.
/** Every code, in ascending order. */
export const errorCodes: ReadonlySet<string> = /* @__PURE__ */ new Set(
  /* @__PURE__ */ Object.keys(table),
)

/** What a code means in one sentence. */
export function describeCode(code: ErrorCode): { family: ErrorFamily; message: string } {
  const [family, message] = table[code]
  return { family, message }
}

/** Code and meaning of an error, for people. */
export function describeError({ code }: ProtocolError): string {
  return `${code}: ${describeCode(code).message}`
}

/**
 * The only error that parsers of this package throw for what they were given. Its message is its code: who verifies in
 * a page needs no sentences, and `describeError` gives them.
 */
export class ProtocolError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, options?: { cause?: unknown }) {
    super(code, options)
    this.name = 'ProtocolError'
    this.code = code
  }
}
