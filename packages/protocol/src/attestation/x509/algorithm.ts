/** AlgorithmIdentifiers as whole byte strings: a parameter that is not listed cannot slip through. */
import { concatBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import {
  coordinateBytes,
  verifySignature,
  type Curve,
  type HashName,
  type PublicKey,
  type SignatureScheme,
} from '../../crypto/verify-signature.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { derTags, openDer, openSequence, type DerReader } from './der.ts'

const hashes: readonly (readonly [HashName, string, string])[] = [
  ['SHA-256', '01', '20'],
  ['SHA-384', '02', '30'],
  ['SHA-512', '03', '40'],
]

/** By the hex of the DER: ECDSA, RSA PKCS#1 v1.5 and RSA-PSS, the latter with and without its default trailer field. */
const schemes: ReadonlyMap<string, SignatureScheme> = /* @__PURE__ */ new Map(
  hashes.flatMap(([hash, digit, salt]): readonly (readonly [string, SignatureScheme])[] => {
    const ecdsaDigit = Number(digit) + 1
    const rsaDigit = (Number(digit) + 10).toString(16).padStart(2, '0')
    const digest = `300d06096086480165030402${digit}0500`
    const parameters = `a00f${digest}a11c301a06092a864886f70d010108${digest}a2030201${salt}`
    const pss = { name: 'RSA-PSS', hash } as const
    return [
      [`300a06082a8648ce3d04030${ecdsaDigit}`, { name: 'ECDSA', hash }],
      [`300d06092a864886f70d0101${rsaDigit}0500`, { name: 'RSASSA-PKCS1-v1_5', hash }],
      [`304106092a864886f70d01010a3034${parameters}`, pss],
      [`304606092a864886f70d01010a3039${parameters}a303020101`, pss],
    ]
  }),
)

const rsaKey = '300d06092a864886f70d0101010500'
const curves: ReadonlyMap<string, Curve> = new Map<string, Curve>([
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
  const scheme = schemes.get(toHex(encoded))
  if (scheme === undefined) throw new EvidenceError('certificate-algorithm')
  return scheme
}

/**
 * The key of a SubjectPublicKeyInfo: P-256, P-384, P-521 as an uncompressed point, RSA of 2,048 to 8,192 bits with the
 * exponent 65,537.
 *
 * @throws EvidenceError `certificate-malformed`, `certificate-key`.
 */
export function parsePublicKey(encoded: Uint8Array): PublicKey {
  const fields = openSequence(encoded, 'certificate-malformed')
  const algorithm = toHex(fields.take(derTags.sequence).encoded)
  const bits = fields.bits()
  fields.finish()
  if (algorithm === rsaKey) return parseRsaKey(openSequence(bits, 'certificate-key'))
  const curve = curves.get(algorithm)
  if (curve === undefined || bits[0] !== 4 || bits.length !== 1 + 2 * coordinateBytes[curve]) {
    throw new EvidenceError('certificate-key')
  }
  return { kind: 'ec', curve, point: bits }
}

/**
 * r ‖ s of fixed width from the DER form: exactly two minimal, positive INTEGERs.
 *
 * @throws EvidenceError `signature-malformed`.
 */
export function parseEcdsaSignature(der: Uint8Array, curve: Curve): Uint8Array {
  const fields = openSequence(der, 'signature-malformed')
  const halves = [fields.unsigned(), fields.unsigned()].map((half) => {
    const width = coordinateBytes[curve]
    if (half.length > width) throw new EvidenceError('signature-malformed')
    return concatBytes(new Uint8Array(width - half.length), half)
  })
  fields.finish()
  return concatBytes(...halves)
}

/** A value with a signature over it, as certificates and revocation lists are. */
export type SignedDer = {
  readonly tbs: Uint8Array
  readonly scheme: SignatureScheme
  readonly signature: Uint8Array
}

/**
 * Opens a signed value. `readInner` takes the inner AlgorithmIdentifier out of what comes before it and gives it back:
 * it has the bytes of the outer one, which nothing signs.
 */
export function openSigned<T>(
  encoded: Uint8Array,
  code: 'certificate-malformed' | 'crl-malformed',
  parseTbs: (tbs: DerReader) => { readonly algorithm: Uint8Array; readonly value: T },
): { readonly signed: SignedDer; readonly value: T } {
  const fields = openSequence(encoded, code)
  const tbs = fields.take(derTags.sequence)
  const outer = fields.take(derTags.sequence).encoded
  const signature = fields.bits()
  fields.finish()
  const inner = openDer(tbs.content, code)
  const { algorithm, value } = parseTbs(inner)
  inner.finish()
  if (toHex(outer) !== toHex(algorithm)) throw new EvidenceError(code)
  const scheme = parseSignatureAlgorithm(outer)
  return { signed: { tbs: tbs.encoded, scheme, signature }, value }
}

/** Whether `issuer` signed the value. */
export async function verifySigned(
  { tbs, scheme, signature }: SignedDer,
  issuer: PublicKey,
): Promise<boolean> {
  try {
    const raw = issuer.kind === 'ec' ? parseEcdsaSignature(signature, issuer.curve) : signature
    return await verifySignature(issuer, scheme, raw, tbs)
  } catch (error) {
    if (error instanceof EvidenceError) return false
    throw error
  }
}

function parseRsaKey(fields: DerReader): PublicKey {
  const modulus = fields.unsigned()
  const exponent = fields.unsigned()
  fields.finish()
  const isTaken = modulus.length >= 256 && modulus.length <= 1024 && toHex(exponent) === '010001'
  if (!isTaken) throw new EvidenceError('certificate-key')
  return { kind: 'rsa', modulus, exponent }
}
