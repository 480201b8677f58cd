/** AlgorithmIdentifiers as whole byte strings: a parameter that is not listed cannot slip through. */
import { concatBytes, equalBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import {
  coordinateBytes,
  verifySignature,
  type Curve,
  type PublicKey,
  type SignatureScheme,
} from '../../crypto/verify-signature.ts'
import { EvidenceError, refuse, refuseUnless, type EvidenceCode } from '../evidence-errors.ts'
import { openDer, openSequence, type DerReader } from './der.ts'
import { sequenceTag } from './der-numbers.ts'

/** By the hex of the DER: ECDSA, RSA PKCS#1 v1.5 and RSA-PSS, the latter with and without its default trailer field. */
const schemes: ReadonlyMap<string, SignatureScheme> = /* @__PURE__ */ new Map(
  ([256, 384, 512] as const).flatMap((bits, index): [string, SignatureScheme][] => {
    const hash = `SHA-${bits}` as const
    const digit = index + 1
    const digest = `300d060960864801650304020${digit}0500`
    const parameters = `a00f${digest}a11c301a06092a864886f70d010108${digest}a2030201${digit + 1}0`
    const rsaDigit = (index + 11).toString(16)
    return [
      [`300a06082a8648ce3d04030${digit + 1}`, { name: 'ECDSA', hash }],
      [`300d06092a864886f70d01010${rsaDigit}0500`, { name: 'RSASSA-PKCS1-v1_5', hash }],
      [`304106092a864886f70d01010a3034${parameters}`, { name: 'RSA-PSS', hash }],
      [`304606092a864886f70d01010a3039${parameters}a303020101`, { name: 'RSA-PSS', hash }],
    ]
  }),
)

const keyKinds: ReadonlyMap<string, PublicKey['kind']> = new Map<string, PublicKey['kind']>([
  ['300d06092a864886f70d0101010500', 'RSA'],
  ['301306072a8648ce3d020106082a8648ce3d030107', 'P-256'],
  ['301006072a8648ce3d020106052b81040022', 'P-384'],
  ['301006072a8648ce3d020106052b81040023', 'P-521'],
])

/**
 * The scheme that an AlgorithmIdentifier names.
 *
 * @throws EvidenceError `certificate-algorithm`.
 */
export function parseSignatureAlgorithm(encoded: Uint8Array): SignatureScheme {
  return schemes.get(toHex(encoded)) ?? refuse('certificate-algorithm')
}

/**
 * The key of a SubjectPublicKeyInfo: P-256, P-384, P-521 as an uncompressed point, RSA of 2,048 to 8,192 bits with the
 * exponent 65,537.
 *
 * @throws EvidenceError `certificate-malformed`, `certificate-key`.
 */
export function parsePublicKey(encoded: Uint8Array): PublicKey {
  const fields = openSequence(encoded, 'certificate-malformed')
  const kind = keyKinds.get(toHex(fields.take(sequenceTag).encoded))
  const bits = fields.bits()
  fields.finish()
  if (kind !== 'RSA') return createEcKey(kind, bits, 'certificate-key')
  const rsa = openSequence(bits, 'certificate-key')
  const modulus = rsa.unsigned()
  const exponent = rsa.unsigned()
  rsa.finish()
  return createRsaKey(modulus, exponent, 'certificate-key')
}

/** An RSA key, refused with `code` unless it has 2,048 to 8,192 bits and the exponent 65,537. */
export function createRsaKey(
  modulus: Uint8Array,
  exponent: Uint8Array,
  code: EvidenceCode,
): PublicKey {
  const isTaken = modulus.length >= 256 && modulus.length <= 1024 && modulus[0] !== 0
  refuseUnless(isTaken && toHex(exponent) === '010001', code)
  return { kind: 'RSA', bytes: modulus }
}

/** An uncompressed point, refused with `code` unless it has the width of the curve. */
export function createEcKey(
  curve: Curve | undefined,
  point: Uint8Array,
  code: EvidenceCode,
): PublicKey {
  const kind = curve ?? refuse(code)
  refuseUnless(point[0] === 4 && point.length === 1 + 2 * coordinateBytes[kind], code)
  return { kind, bytes: point }
}

/** True when both are one key. */
export function isSameKey(a: PublicKey, b: PublicKey): boolean {
  return a.kind === b.kind && equalBytes(a.bytes, b.bytes)
}

/**
 * r ‖ s of fixed width from the DER form: exactly two minimal, positive INTEGERs.
 *
 * @throws EvidenceError `signature-malformed`.
 */
export function parseEcdsaSignature(der: Uint8Array, curve: Curve): Uint8Array {
  const code = 'signature-malformed'
  const fields = openSequence(der, code)
  const width = coordinateBytes[curve]
  const r = toWidth(fields.unsigned(), width, code)
  const s = toWidth(fields.unsigned(), width, code)
  fields.finish()
  return concatBytes(r, s)
}

/** The integer with leading zeros, refused with `code` when it is wider. */
export function toWidth(integer: Uint8Array, width: number, code: EvidenceCode): Uint8Array {
  refuseUnless(integer.length <= width, code)
  return concatBytes(new Uint8Array(width - integer.length), integer)
}

/** A value with a signature over it, as certificates and revocation lists are. */
export type SignedDer = {
  readonly tbs: Uint8Array
  readonly scheme: SignatureScheme
  readonly signature: Uint8Array
}

/**
 * Opens a signed value. `parseTbs` takes the inner AlgorithmIdentifier out of it and gives it back: it has the bytes of
 * the outer one, which nothing signs.
 */
export function openSigned<T>(
  encoded: Uint8Array,
  code: 'certificate-malformed' | 'crl-malformed',
  parseTbs: (tbs: DerReader) => { readonly algorithm: Uint8Array; readonly value: T },
): T & { readonly signed: SignedDer } {
  const fields = openSequence(encoded, code)
  const tbs = fields.take(sequenceTag)
  const outer = fields.take(sequenceTag).encoded
  const signature = fields.bits()
  fields.finish()
  const inner = openDer(tbs.content, code)
  const { algorithm, value } = parseTbs(inner)
  inner.finish()
  refuseUnless(equalBytes(outer, algorithm), code)
  const scheme = parseSignatureAlgorithm(outer)
  return { ...value, signed: { tbs: tbs.encoded, scheme, signature } }
}

/** Whether `issuer` signed the value. */
export async function verifySigned(
  { tbs, scheme, signature }: SignedDer,
  issuer: PublicKey,
): Promise<boolean> {
  try {
    const raw = issuer.kind === 'RSA' ? signature : parseEcdsaSignature(signature, issuer.kind)
    return await verifySignature(issuer, scheme, raw, tbs)
  } catch (error) {
    if (error instanceof EvidenceError) return false
    throw error
  }
}

/**
 * Refuses with `code` what this key did not sign by ECDSA; r ‖ s over the curve and by the hash of so many bits.
 *
 * @param about - which signature is meant.
 */
export async function checkEcdsa(
  key: PublicKey,
  bits: 256 | 384,
  signature: Uint8Array,
  message: Uint8Array,
  code: EvidenceCode = 'evidence-signature-invalid',
  about?: string,
): Promise<void> {
  const scheme = { name: 'ECDSA', hash: `SHA-${bits}` } as const
  const isSigned =
    key.kind === `P-${bits}` && (await verifySignature(key, scheme, signature, message))
  refuseUnless(isSigned, code, about)
}
