/** Strict DER (X.690 §10, §11): one encoding for one value, read left to right, never past the end. */
import { refuse, refuseUnless, type EvidenceCode } from '../evidence-errors.ts'
import { bitStringTag, integerTag, sequenceTag } from './der-numbers.ts'

/** One value. `encoded` is tag, length and content. */
export type DerValue = { readonly content: Uint8Array; readonly encoded: Uint8Array }

/** Reads values one after another; each method refuses what is not there with the reader's code. Owns its offset. */
export type DerReader = {
  /** The tag of the next value, `undefined` at the end. */
  peek(): number | undefined
  take(tag: number): DerValue
  /** Enters the next value, which must be whole by itself: call `finish` on what it gives. */
  open(tag: number): DerReader
  /** Enters each of the SEQUENCEs that are left, one after another. */
  openAll(): Iterable<DerReader>
  /** The magnitude of a non-negative INTEGER without leading zeros; of 0 it is one zero byte. */
  unsigned(): Uint8Array
  /** A non-negative INTEGER of at most four bytes. */
  small(): number
  /** The content of a BIT STRING without unused bits. */
  bits(): Uint8Array
  /** Refuses what is left. */
  finish(): void
}

/** A reader of the values that lie in `bytes`. */
export function openDer(bytes: Uint8Array, code: EvidenceCode): DerReader {
  let offset = 0
  const reader: DerReader = {
    peek: () => bytes[offset],
    take(tag) {
      refuseUnless(bytes[offset] === tag, code)
      const value = readValue(bytes.subarray(offset), code)
      offset += value.encoded.length
      return value
    },
    open: (tag) => openDer(reader.take(tag).content, code),
    *openAll() {
      while (offset < bytes.length) yield reader.open(sequenceTag)
    },
    unsigned() {
      const { content } = reader.take(integerTag)
      const [first = 0x80, second = 0x80] = content
      // Negative, empty, or longer than it has to be.
      refuseUnless(first < 0x80 && (first > 0 || second >= 0x80), code)
      return first === 0 && content.length > 1 ? content.subarray(1) : content
    },
    small() {
      const magnitude = reader.unsigned()
      refuseUnless(magnitude.length <= 4, code)
      return toNumber(magnitude)
    },
    bits() {
      const { content } = reader.take(bitStringTag)
      refuseUnless(content[0] === 0, code)
      return content.subarray(1)
    },
    finish() {
      refuseUnless(offset === bytes.length, code)
    },
  }
  return reader
}

/** A reader of the content of the only value of `bytes`, a SEQUENCE. */
export function openSequence(bytes: Uint8Array, code: EvidenceCode): DerReader {
  const outer = openDer(bytes, code)
  const inner = outer.open(sequenceTag)
  outer.finish()
  return inner
}

function readValue(bytes: Uint8Array, code: EvidenceCode): DerValue {
  const first = bytes[1] ?? refuse(code)
  const isLong = first >= 0x80
  const lengthBytes = isLong ? first - 0x80 : 0
  const start = 2 + lengthBytes
  const length = isLong ? toNumber(bytes.subarray(2, start)) : first
  // Of the long form, 0x80 alone is the indefinite one; four bytes of length are more than any input has.
  const isShortest = !isLong || (length >= 0x80 && length >= 256 ** (lengthBytes - 1))
  // Tag numbers above 30 do not occur in what is read here.
  refuseUnless((Number(bytes[0]) & 31) !== 31 && lengthBytes <= 3 && isShortest, code)
  const end = start + length
  refuseUnless(end <= bytes.length, code)
  return { content: bytes.subarray(start, end), encoded: bytes.subarray(0, end) }
}

function toNumber(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0)
}
