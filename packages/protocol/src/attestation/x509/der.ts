/** Strict DER (X.690 §10, §11): one encoding for one value, read left to right, never past the end. */
import { EvidenceError, type EvidenceCode } from '../evidence-errors.ts'

/** One value. `encoded` is tag, length and content. */
export type DerValue = {
  readonly tag: number
  readonly content: Uint8Array
  readonly encoded: Uint8Array
}

/** Reads values one after another; each method refuses what is not there with the reader's code. Owns its offset. */
export type DerReader = {
  /** The tag of the next value, `undefined` at the end. */
  peek(): number | undefined
  take(tag: number): DerValue
  /** Enters the next value, which must be whole by itself: call `finish` on what it gives. */
  open(tag: number): DerReader
  /** The magnitude of a non-negative INTEGER without leading zeros; of 0 it is one zero byte. */
  unsigned(): Uint8Array
  /** A non-negative INTEGER of at most four bytes. */
  small(): number
  /** The content of a BIT STRING without unused bits. */
  bits(): Uint8Array
  /** Refuses what is left. */
  finish(): void
}

/** Universal tags that are read here. */
export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const

/** A reader of the values that lie in `bytes`. */
export function openDer(bytes: Uint8Array, code: EvidenceCode): DerReader {
  let offset = 0
  const next = (): DerValue => {
    const value = readValue(bytes.subarray(offset), code)
    offset += value.encoded.length
    return value
  }
  const reader: DerReader = {
    peek: () => bytes[offset],
    take(tag) {
      if (bytes[offset] !== tag) throw new EvidenceError(code)
      return next()
    },
    open: (tag) => openDer(reader.take(tag).content, code),
    unsigned: () => toMagnitude(reader.take(derTags.integer).content, code),
    small() {
      const magnitude = reader.unsigned()
      if (magnitude.length > 4) throw new EvidenceError(code)
      return magnitude.reduce((sum, byte) => sum * 256 + byte, 0)
    },
    bits() {
      const { content } = reader.take(derTags.bitString)
      if (content[0] !== 0) throw new EvidenceError(code)
      return content.subarray(1)
    },
    finish() {
      if (offset !== bytes.length) throw new EvidenceError(code)
    },
  }
  return reader
}

/** A reader of the content of the only value of `bytes`, a SEQUENCE. */
export function openSequence(bytes: Uint8Array, code: EvidenceCode): DerReader {
  const outer = openDer(bytes, code)
  const inner = outer.open(derTags.sequence)
  outer.finish()
  return inner
}

/** The content of an OBJECT IDENTIFIER in hex, from its dotted form: how this package compares them. */
export function toOidHex(dotted: string): string {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  let hex = ''
  for (const arc of [first * 40 + second, ...rest]) {
    const septets: number[] = [arc % 128]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      septets.unshift((left % 128) + 128)
    }
    for (const septet of septets) hex += septet.toString(16).padStart(2, '0')
  }
  return hex
}

function readValue(bytes: Uint8Array, code: EvidenceCode): DerValue {
  const [tag, first] = bytes
  // Tag numbers above 30 do not occur in what is read here.
  if (tag === undefined || first === undefined || (tag & 31) === 31) throw new EvidenceError(code)
  let length = first
  let start = 2
  if (first >= 0x80) {
    const lengthBytes = first - 0x80
    start += lengthBytes
    // 0x80 alone is the indefinite form; four bytes of length are more than any input has.
    if (lengthBytes < 1 || lengthBytes > 3) throw new EvidenceError(code)
    length = bytes.subarray(2, start).reduce((sum, byte) => sum * 256 + byte, 0)
    const isMinimal = length >= 0x80 && length >= 256 ** (lengthBytes - 1)
    if (!isMinimal) throw new EvidenceError(code)
  }
  const end = start + length
  if (end > bytes.length) throw new EvidenceError(code)
  return { tag, content: bytes.subarray(start, end), encoded: bytes.subarray(0, end) }
}

function toMagnitude(content: Uint8Array, code: EvidenceCode): Uint8Array {
  const [first, second] = content
  if (first === undefined || first >= 0x80) throw new EvidenceError(code)
  if (first !== 0 || second === undefined) return content
  if (second < 0x80) throw new EvidenceError(code)
  return content.subarray(1)
}
