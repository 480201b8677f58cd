/** RSA keys of the synthetic token services. Primes follow from a name and from how far above it they lie. */
import { createHash, createPrivateKey, createSign, type KeyObject } from 'node:crypto'

/** An RSA-2048 key pair whose signatures (PKCS#1 v1.5) follow from the message. */
export type RsaKey = {
  readonly modulus: Uint8Array
  readonly sign: (message: Uint8Array) => Uint8Array
}

const exponent = 65_537n

/** The key of this name. The distances were searched once; others give no primes, and then nothing verifies. */
export function seededRsaKey(name: string, distances: readonly [p: bigint, q: bigint]): RsaKey {
  const p = base(`${name} p`) + distances[0]
  const q = base(`${name} q`) + distances[1]
  const d = inverse(exponent, (p - 1n) * (q - 1n))
  const members = {
    n: p * q,
    e: exponent,
    d,
    p,
    q,
    dp: d % (p - 1n),
    dq: d % (q - 1n),
    qi: inverse(q, p),
  }
  const texts = Object.entries(members).map(([member, value]) => [member, toBase64url(value)])
  const key: KeyObject = createPrivateKey({
    key: { kty: 'RSA', ...Object.fromEntries(texts) },
    format: 'jwk',
  })
  return {
    modulus: toBytes(p * q),
    sign: (message) => Uint8Array.from(createSign('sha256').update(message).sign(key)),
  }
}

/** An odd number of 1,024 bits, the highest two of them set. */
function base(name: string): bigint {
  const halves = ['a', 'b'].map((half) =>
    createHash('sha512')
      .update(`countersign/vectors/attestation/v1/rsa/${name} ${half}`)
      .digest('hex'),
  )
  return BigInt(`0x${halves.join('')}`) | (3n << 1022n) | 1n
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b] = [value % modulus, modulus]
  let [x, y] = [1n, 0n]
  while (b > 0n) {
    const quotient = a / b
    ;[a, b] = [b, a - quotient * b]
    ;[x, y] = [y, x - quotient * y]
  }
  return ((x % modulus) + modulus) % modulus
}

function toBase64url(value: bigint): string {
  return Buffer.from(toBytes(value)).toString('base64url')
}

function toBytes(value: bigint): Uint8Array {
  const hex = value.toString(16)
  const digits = hex.padStart(Math.ceil(hex.length / 2) * 2, '0')
  return Uint8Array.from(Buffer.from(digits, 'hex'))
}
