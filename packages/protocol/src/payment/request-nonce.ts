/** Binding an EIP-3009 payment to one request through its free 32-byte nonce (spec/payment.md). */
import { keccak_256 } from '@noble/hashes/sha3.js'
import { concatBytes, encodeUtf8 } from '../bytes/byte-string.ts'
import { sha256, type Sha256 } from '../crypto/sha256.ts'

/** SHA-256 over method, path and body digest: the request that a payment is for. */
export function hashRequest(
  method: string,
  path: string,
  bodyDigest: Uint8Array,
  hash: Sha256 = sha256,
): Uint8Array {
  return hash(concatBytes(encodeUtf8(`countersign/request/v1\n${method}\n${path}\n`), bodyDigest))
}

/** nonce = keccak256(request hash ‖ salt). Both have 32 bytes; the salt is fresh for every payment. */
export function createPaymentNonce(requestHash: Uint8Array, salt: Uint8Array): Uint8Array {
  return keccak_256(concatBytes(requestHash, salt))
}
