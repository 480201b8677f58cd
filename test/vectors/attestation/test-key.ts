/** Keys of the synthetic roots: each follows from its name, and so do its signatures (RFC 6979). */
import { createHash } from 'node:crypto'
import { p256, p384 } from '@noble/curves/nist.js'
import { derBitString, derObjectIdentifier, derSequence } from '../../provider/der.ts'

/** A key pair on a curve. `sign` gives r ‖ s of fixed width over the curve's own hash. */
export type TestKey = {
  readonly curve: 'P-256' | 'P-384'
  /** 4 ‖ x ‖ y. */
  readonly point: Uint8Array
  readonly spki: Uint8Array
  readonly sign: (message: Uint8Array) => Uint8Array
}

const curves = {
  'P-256': { ecdsa: p256, oid: '1.2.840.10045.3.1.7', bytes: 32 },
  'P-384': { ecdsa: p384, oid: '1.3.132.0.34', bytes: 48 },
} as const

/** The key of this name. */
export function seededKey(name: string, curve: TestKey['curve'] = 'P-384'): TestKey {
  const { ecdsa, oid, bytes } = curves[curve]
  const seed = createHash('sha512')
    .update(`countersign/vectors/attestation/v1/${curve}/${name}`)
    .digest()
  const secretKey = seed.subarray(0, bytes)
  const point = ecdsa.getPublicKey(secretKey, false)
  const algorithm = derSequence(derObjectIdentifier('1.2.840.10045.2.1'), derObjectIdentifier(oid))
  return {
    curve,
    point,
    spki: derSequence(algorithm, derBitString(point)),
    sign: (message) =>
      signOnce(`${curve}/${name}`, message, () =>
        ecdsa.sign(message, secretKey, { lowS: false, prehash: true }),
      ),
  }
}

// Owned by signOnce: cases share most of their certificates, and one key has one signature of one message.
const made = new Map<string, Uint8Array>()

function signOnce(key: string, message: Uint8Array, sign: () => Uint8Array): Uint8Array {
  const name = `${key}/${createHash('sha512').update(message).digest('base64')}`
  const signature = made.get(name) ?? sign()
  made.set(name, signature)
  return signature.slice()
}
