/** The one place that asks WebCrypto whether a signature verifies. */
import { toBase64url } from '../bytes/text-encoding.ts'

/** The curves that WebCrypto has everywhere. */
export type Curve = 'P-256' | 'P-384' | 'P-521'

/** The hashes that signatures here are made over. */
export type HashName = 'SHA-256' | 'SHA-384' | 'SHA-512'

/** A public key. `point` is 4 ‖ x ‖ y; modulus and exponent are big-endian without leading zeros. */
export type PublicKey =
  | { readonly kind: 'ec'; readonly curve: Curve; readonly point: Uint8Array }
  | { readonly kind: 'rsa'; readonly modulus: Uint8Array; readonly exponent: Uint8Array }

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

/**
 * Whether the signature verifies. ECDSA signatures are r ‖ s of fixed width. A key that is none, or one of another
 * kind than the scheme, has signed nothing.
 *
 * @throws Error in a page without WebCrypto (not https, not localhost), where nothing can be judged.
 */
export async function verifySignature(
  key: PublicKey,
  scheme: SignatureScheme,
  signature: Uint8Array,
  message: Uint8Array,
): Promise<boolean> {
  const { subtle } = crypto
  // Without this a page on plain http would call every signature forged.
  if (subtle === undefined) throw new Error('no WebCrypto here: a page needs https or localhost')
  const { name, hash } = scheme
  try {
    if (key.kind === 'ec') {
      if (name !== 'ECDSA') return false
      const algorithm = { name, namedCurve: key.curve } as const
      const imported = await subtle.importKey('raw', key.point, algorithm, false, ['verify'])
      return await subtle.verify({ name, hash }, imported, signature, message)
    }
    if (name === 'ECDSA') return false
    const jwk = { kty: 'RSA', n: toBase64url(key.modulus), e: toBase64url(key.exponent) } as const
    const imported = await subtle.importKey('jwk', jwk, { name, hash }, false, ['verify'])
    return await subtle.verify(toParameters(name, hash), imported, signature, message)
  } catch {
    // WebCrypto throws for a point that is not on the curve and for a modulus that is none.
    return false
  }
}

function toParameters(
  name: 'RSA-PSS' | 'RSASSA-PKCS1-v1_5',
  hash: HashName,
): { name: 'RSA-PSS'; saltLength: number } | { name: 'RSASSA-PKCS1-v1_5' } {
  return name === 'RSA-PSS' ? { name, saltLength: Number(hash.slice(4)) / 8 } : { name }
}
