/** The one place that asks WebCrypto whether a signature verifies. */
import { toBase64url } from '../bytes/text-encoding.ts'

/** The curves that WebCrypto has everywhere. */
export type Curve = 'P-256' | 'P-384' | 'P-521'

/** The hashes that signatures here are made over. */
export type HashName = 'SHA-256' | 'SHA-384' | 'SHA-512'

/** A public key: 4 ‖ x ‖ y, or the modulus without leading zeros of an RSA key with the exponent 65,537. */
export type PublicKey = { readonly kind: Curve | 'RSA'; readonly bytes: Uint8Array }

/** How a signature was made. RSA-PSS has a salt as long as its hash. */
export type SignatureScheme = {
  readonly name: 'ECDSA' | 'RSA-PSS' | 'RSASSA-PKCS1-v1_5'
  readonly hash: HashName
}

/** Bytes of one coordinate, and of each half of a raw signature. */
export const coordinateBytes: Readonly<Record<Curve, number>> = {
  'P-256': 32,
  'P-384': 48,
  'P-521': 66,
}

/** The exponent of every RSA key, as JSON web keys have it. */
export const rsaExponent = 'AQAB'

/**
 * Whether the signature verifies. ECDSA signatures are r ‖ s of fixed width. A key that is none, or one of another
 * kind than the scheme, has signed nothing.
 *
 * @throws Error in a page without WebCrypto (not https, not localhost), where nothing can be judged.
 */
export async function verifySignature(
  { kind, bytes }: PublicKey,
  { name, hash }: SignatureScheme,
  signature: Uint8Array,
  message: Uint8Array,
): Promise<boolean> {
  const { subtle } = crypto
  // Without this a page on plain http would call every signature forged.
  if (subtle === undefined) throw new Error('no WebCrypto here: a page needs https or localhost')
  if ((kind === 'RSA') === (name === 'ECDSA')) return false
  // Every algorithm reads the members that it knows of these.
  const algorithm = { name, hash, namedCurve: kind, saltLength: Number(hash.slice(4)) / 8 }
  try {
    const key =
      kind === 'RSA'
        ? await subtle.importKey(
            'jwk',
            { kty: kind, n: toBase64url(bytes), e: rsaExponent },
            algorithm,
            false,
            ['verify'],
          )
        : await subtle.importKey('raw', bytes, algorithm, false, ['verify'])
    return await subtle.verify(algorithm, key, signature, message)
  } catch {
    // WebCrypto throws for a point that is not on the curve and for a modulus that is none.
    return false
  }
}
