/** The head of a sealed request: to which key, by which algorithms (spec/sealed.md SE2). */
import { concatBytes, encodeUtf8, equalBytes } from '../bytes/byte-string.ts'
import { sha256 } from '../crypto/sha256.ts'
import { SealedError } from './sealed-error.ts'

/** Media types of RFC 9458 in chunks. */
export const sealedTypes = {
  request: 'message/ohttp-chunked-req',
  response: 'message/ohttp-chunked-res',
} as const

// The encapsulated secret follows the head.
const headBytes = 7
const encapsulatedBytes = 32

// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM: one suite, nothing to negotiate.
const suite = Uint8Array.of(0x00, 0x20, 0x00, 0x01, 0x00, 0x01)

/** The head for this key: key id, then the suite. */
export function encodeRequestHead(hpkeKey: Uint8Array): Uint8Array {
  return concatBytes(sha256(hpkeKey).subarray(0, 1), suite)
}

/** The `info` of the HPKE context. */
export function requestInfo(head: Uint8Array): Uint8Array {
  return concatBytes(encodeUtf8('message/bhttp chunked request'), Uint8Array.of(0), head)
}

/**
 * Splits what a request begins with.
 *
 * @throws SealedError `sealed-malformed` for another suite, `sealed-truncated`.
 */
export function parseRequestHead(bytes: Uint8Array): {
  readonly head: Uint8Array
  readonly encapsulated: Uint8Array
  readonly rest: Uint8Array
} {
  const end = headBytes + encapsulatedBytes
  if (bytes.length < end) throw new SealedError('sealed-truncated')
  const head = bytes.subarray(0, headBytes)
  if (!equalBytes(head.subarray(1), suite)) throw new SealedError('sealed-malformed')
  return { head, encapsulated: bytes.subarray(headBytes, end), rest: bytes.subarray(end) }
}
