/** Maps of our own around what TPMs give: version 1, keys that are exactly these. */
import { decodeCbor } from '../../bytes/cbor-decode.ts'
import { openMap, type MapReader } from '../../bytes/map-reader.ts'
import { EvidenceError } from '../evidence-errors.ts'

/**
 * Reads a CBOR map with key 1 = 1 and these other keys.
 *
 * @throws EvidenceError `tpm-malformed` for whatever decoding or `read` refuses.
 */
export function readTpmMap<T>(
  bytes: Uint8Array,
  maxBytes: number,
  keys: readonly number[],
  read: (fields: MapReader) => T,
): T {
  try {
    const fields = openMap(decodeCbor(bytes, maxBytes), [1, ...keys], [], 'evidence-malformed')
    fields.integer(1, 1, 1)
    return read(fields)
  } catch (cause) {
    throw new EvidenceError('tpm-malformed', '', { cause })
  }
}
