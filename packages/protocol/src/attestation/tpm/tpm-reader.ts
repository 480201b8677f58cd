/** Reads the big-endian structures of TPM 2.0 (TCG TPM 2.0 Library, Part 2), never past their end. */
import { copyBytes } from '../../bytes/byte-string.ts'
import { EvidenceError } from '../evidence-errors.ts'

/** A place in bytes. Each method moves on, and refuses with `tpm-malformed` what is not there. */
export type TpmReader = {
  u8(): number
  u16(): number
  u32(): number
  u64(): bigint
  /** Exactly so many bytes, as a copy. */
  take(length: number): Uint8Array
  /** A TPM2B: a length of two bytes, at most `maximum`, and so many bytes. */
  sized(maximum: number): Uint8Array
  /** A number of four bytes that counts what follows: at most `maximum`. */
  count(maximum: number): number
  /** All that is left, as a copy. */
  rest(): Uint8Array
  /** @throws EvidenceError when bytes are left. */
  end(): void
}

/** A reader that begins at the first byte. */
export function openTpmReader(bytes: Uint8Array): TpmReader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // Owned here: moved by `advance` only.
  let offset = 0
  const advance = (length: number): number => {
    const start = offset
    if (length > bytes.length - start) throw new EvidenceError('tpm-malformed')
    offset += length
    return start
  }
  const reader: TpmReader = {
    u8: () => view.getUint8(advance(1)),
    u16: () => view.getUint16(advance(2)),
    u32: () => view.getUint32(advance(4)),
    u64: () => view.getBigUint64(advance(8)),
    take: (length) => {
      const start = advance(length)
      return copyBytes(bytes, start, start + length)
    },
    sized: (maximum) => reader.take(atMost(reader.u16(), maximum)),
    count: (maximum) => atMost(reader.u32(), maximum),
    rest: () => reader.take(bytes.length - offset),
    end: () => {
      if (offset !== bytes.length) throw new EvidenceError('tpm-malformed')
    },
  }
  return reader
}

function atMost(length: number, maximum: number): number {
  if (length > maximum) throw new EvidenceError('tpm-malformed')
  return length
}
