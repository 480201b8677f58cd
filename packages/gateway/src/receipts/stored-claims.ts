/** Disclosed claims as one byte string for the database: a CBOR array of the claims' bytes. */
import { decodeCbor } from '@countersign/protocol/bytes/cbor-decode'
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import type { ClaimEntry } from '@countersign/protocol/receipt/claims'

const maxBytes = 2_097_152
const headBytes = 5

/** The stored form. Withheld claims do not occur: the store keeps what its own gateway issued. */
export function serializeClaimEntries(entries: readonly ClaimEntry[]): Uint8Array {
  const items = entries.map((entry) => (entry.kind === 'claim' ? entry.bytes : entry.hash))
  const expectedBytes = items.reduce((sum, item) => sum + item.length + headBytes, headBytes)
  return encodeCbor(items, expectedBytes)
}

/** @throws TypeError or ProtocolError when the stored form is damaged. */
export function parseClaimEntries(stored: Uint8Array): readonly ClaimEntry[] {
  const items = decodeCbor(stored, maxBytes)
  if (!Array.isArray(items)) throw new TypeError('the receipt database is damaged')
  return Array.from(items, (bytes: unknown) => {
    if (!(bytes instanceof Uint8Array)) throw new TypeError('the receipt database is damaged')
    return { kind: 'claim', bytes }
  })
}
