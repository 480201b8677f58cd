/** Reads the big-endian structures of TPM 2.0 (TCG TPM 2.0 Library, Part 2). */
import { openByteReader, type ByteReader } from '../byte-reader.ts'

/** A place in bytes of a TPM. */
export type TpmReader = ByteReader

/** A reader that begins at the first byte, and refuses with `tpm-malformed`. */
export function openTpmReader(bytes: Uint8Array): TpmReader {
  return openByteReader(bytes, 'tpm-malformed', 'big')
}
