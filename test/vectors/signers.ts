/** Keys and randomness of the vectors: all of it follows from names, so that a fresh generation gives the same bytes. */
import { p256 } from '@noble/curves/nist.js'
import { encodeUtf8, concatBytes } from '@countersign/protocol/bytes/byte-string'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { Es256Signer } from '@countersign/protocol/crypto/es256'
import { sha256 } from '@countersign/protocol/crypto/sha256'

/** 32 bytes that follow from the name. */
export function seededBytes(name: string): Uint8Array {
  return sha256(encodeUtf8(`countersign/vectors/v1/${name}`))
}

/** A signer whose key follows from the name and whose signatures follow from the message (RFC 6979, low s). */
export function seededSigner(keyName: string): Es256Signer {
  const secretKey = seededBytes(`key/${keyName}`)
  // Owned by sign: the same message has the same signature, so it is made once.
  const made = new Map<string, Uint8Array>()
  const sign = (message: Uint8Array): Uint8Array => {
    const name = toHex(sha256(message))
    const signature = made.get(name) ?? p256.sign(message, secretKey, { lowS: true, prehash: true })
    made.set(name, signature)
    return signature.slice()
  }
  return { publicKey: p256.getPublicKey(secretKey, false).slice(1), sign }
}

/** 32 bytes of salt for each of so many claims. */
export function seededSalts(name: string, count: number): Uint8Array {
  const salts = Array.from({ length: count }, (_, index) => seededBytes(`salt/${name}/${index}`))
  return concatBytes(...salts)
}
