/** What a quote must carry to stand for a keyset (spec/statement.md ST5.1). */
import { sha512 } from '@noble/hashes/sha2.js'
import { concatBytes, encodeUtf8 } from '../bytes/byte-string.ts'

/** Bytes of the nonce in evidence: fixed, so that the concatenation is unambiguous. */
export const evidenceNonceBytes = 32

/** report_data, 64 bytes. `keysetDigest` and `nonce` have 32 bytes each. */
export function createReportData(keysetDigest: Uint8Array, nonce: Uint8Array): Uint8Array {
  return sha512(concatBytes(encodeUtf8('countersign/keyset/v1'), keysetDigest, nonce))
}
