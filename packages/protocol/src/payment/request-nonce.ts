/** Binding an EIP-3009 payment to one request through its free 32-byte nonce (spec/payment.md). */
import { keccak_256 } from '@noble/hashes/sha3.js'
import { concatBytes, encodeUtf8 } from '../bytes/byte-string.ts'
import { sha256 } from '../crypto/sha256.ts'

/** SHA-256 over method, path and body digest: the request that a payment is for. */
export function hashRequest(method: string, path: string, bodyDigest: Uint8Array): Uint8Array {
  return sha256(encodeRequest(method, path, bodyDigest))
}

/** What is hashed of a request: who has a faster SHA-256 takes this. */
export function encodeRequest(method: string, path: string, bodyDigest: Uint8Array): Uint8Array {
  return concatBytes(encodeUtf8(`countersign/request/v1\n${method}\n${path}\n`), bodyDigest)
}

/** nonce = keccak256(request hash ‖ salt). Both have 32 bytes; the salt is fresh for every payment. */
export function createPaymentNonce(requestHash: Uint8Array, salt: Uint8Array): Uint8Array {
  return keccak_256(concatBytes(requestHash, salt))
}
