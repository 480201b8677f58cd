/** Reads structures of fixed layout from left to right, never past their end: quotes, reports, logs, answers of TPMs. */
import { copyBytes } from '../bytes/byte-string.ts'
import { refuseUnless, type EvidenceCode } from './evidence-errors.ts'

/** A place in bytes. Each method moves on, and refuses with the reader's code what is not there. Owns its offset. */
export type ByteReader = {
  u8(): number
  u16(): number
  u32(): number
  /** An unsigned integer of so many bytes, at most six. */
  integer(width: number): number
  /** Exactly so many bytes, as a copy. */
  take(length: number): Uint8Array
  /** A length of two bytes, at most `maximum`, and so many bytes. */
  sized(maximum: number): Uint8Array
  /** A number of four bytes that counts what follows: at most `maximum`. */
  count(maximum: number): number
  /** All that is left, as a copy. */
  rest(): Uint8Array
  /** Bytes read so far. */
  offset(): number
  isAtEnd(): boolean
  /** @throws EvidenceError when bytes are left. */
  end(): void
}

/** A reader that begins at the first byte. `order`: which byte of an integer comes first. */
export function openByteReader(
  bytes: Uint8Array,
  code: EvidenceCode,
  order: 'big' | 'little',
): ByteReader {
  let offset = 0
  const atMost = (number: number, maximum: number): number => {
    refuseUnless(number <= maximum, code)
    return number
  }
  const reader: ByteReader = {
    u8: () => reader.integer(1),
    u16: () => reader.integer(2),
    u32: () => reader.integer(4),
    integer(width) {
      const digits = reader.take(width)
      if (order === 'little') digits.reverse()
      return digits.reduce((sum, byte) => sum * 256 + byte, 0)
    },
    take(length) {
      const start = offset
      offset += atMost(length, bytes.length - start)
      return copyBytes(bytes, start, offset)
    },
    sized: (maximum) => reader.take(atMost(reader.u16(), maximum)),
    count: (maximum) => atMost(reader.u32(), maximum),
    rest: () => reader.take(bytes.length - offset),
    offset: () => offset,
    isAtEnd: () => offset === bytes.length,
    end() {
      refuseUnless(reader.isAtEnd(), code)
    },
  }
  return reader
}
