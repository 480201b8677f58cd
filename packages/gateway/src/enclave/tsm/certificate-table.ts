/** The certificates that a host hands to a SEV-SNP guest beside its report (GHCB specification §4.1.8.1). */
import { AttestationError } from '../attestation-error.ts'

const entryBytes = 24
const maxEntries = 32
const noGuid = '0'.repeat(32)

/** Names of collateral by the GUID in hex, as spec/attestation.md AT6 calls them. */
const names: ReadonlyMap<string, string> = new Map([
  ['c0b406a4a803495297433fb6014cd0ae', 'ark'],
  ['4ab7b379bbac4fe4a02f05aef327c782', 'ask'],
  ['63da758de6644564adc5f4b93be8accd', 'vek'],
  ['a8074bc2a25a483eaae639c045a0b8a1', 'vek'],
  ['92f81bc358114d3d97ffd19f88dc67ea', 'crl'],
])

/**
 * The certificates by name; none for an empty table. Unknown ones are left out.
 *
 * @throws AttestationError `attester-malformed`, also for two of one name: a verifier would not know which to take.
 */
export function parseCertificateTable(table: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const bytes = Buffer.from(table)
  const collateral = new Map<string, Uint8Array>()
  if (bytes.length === 0) return collateral
  for (let entry = 0; ; entry++) {
    const start = entry * entryBytes
    if (entry === maxEntries || start + entryBytes > bytes.length) throw malformed()
    const guid = bytes.toString('hex', start, start + 16)
    if (guid === noGuid) return collateral
    const offset = bytes.readUInt32LE(start + 16)
    const length = bytes.readUInt32LE(start + 20)
    if (offset > bytes.length || length > bytes.length - offset) throw malformed()
    const name = names.get(guid)
    if (name === undefined) continue
    if (collateral.has(name)) throw malformed()
    collateral.set(name, Uint8Array.from(bytes.subarray(offset, offset + length)))
  }
}

function malformed(): AttestationError {
  return new AttestationError('attester-malformed', 'certificate table')
}
