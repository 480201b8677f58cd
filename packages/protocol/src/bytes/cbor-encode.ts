/** Deterministic CBOR of the subset that statements use (spec/statement.md ST1). */
import { compareTexts, encodeUtf8, utf8Length } from './byte-string.ts'

/** Keys of maps: integers or texts. */
export type CborKey = number | string

/** What a statement can hold. Numbers are integers of magnitude below 2^53. */
export type CborValue =
  | number
  | string
  | boolean
  | null
  | Uint8Array
  | readonly CborValue[]
  | CborMap

/** A CBOR map; the order of insertion does not matter, but ascending is fastest. */
export type CborMap = ReadonlyMap<CborKey, CborValue>

/** A map whose keys were encoded before; made by `defineCborRecord`. */
export type CborRecord = {
  readonly keys: readonly Uint8Array[]
  readonly values: readonly CborInput[]
}

/** What can be encoded: records are maps to whoever decodes them. */
export type CborInput = CborValue | CborRecord

type Writer = { buffer: Uint8Array; length: number }

const initialBytes = 512
const perClaimBytes = 192
// Above this length the native encoder is faster than a loop over characters.
const shortText = 128

/** True for a map. */
export function isCborMap(value: CborInput | undefined): value is CborMap {
  return value instanceof Map
}

/** True for an array. */
export function isCborArray(value: CborInput | undefined): value is readonly CborValue[] {
  return Array.isArray(value)
}

/**
 * Encodes by ST1.1. The result is a view of a buffer that can be larger.
 *
 * @param expectedBytes - room to begin with; more is made when it is too little.
 * @throws RangeError for a number that is no integer of magnitude below 2^53, and for keys out of order with unpaired
 * surrogates: the caller's own mistakes.
 */
export function encodeCbor(value: CborInput, expectedBytes: number = initialBytes): Uint8Array {
  const writer: Writer = { buffer: new Uint8Array(expectedBytes), length: 0 }
  writeValue(writer, value)
  return writer.buffer.subarray(0, writer.length)
}

/** Encodes by ST1.1 what stands behind one more byte, such as a tag. */
export function encodePrefixedCbor(
  prefix: number,
  value: CborInput,
  expectedBytes: number,
): Uint8Array {
  const writer: Writer = { buffer: new Uint8Array(1 + expectedBytes), length: 0 }
  writeByte(writer, prefix)
  writeValue(writer, value)
  return writer.buffer.subarray(0, writer.length)
}

/**
 * A maker of maps that all have these keys: they are encoded once, and no map is made. Values are given in the same
 * order.
 *
 * @throws RangeError for keys that are not in ascending order of their encodings (ST1.1): the caller's own mistake.
 *
 * @example
 *     const point = defineCborRecord('x', 'y')
 *     encodeCbor(point(1, 2))
 */
export function defineCborRecord<const Keys extends readonly CborKey[]>(
  ...keys: Keys
): (...values: { readonly [Index in keyof Keys]: CborInput }) => CborRecord {
  const isStrict = new Set(keys).size === keys.length
  if (!isStrict || !isAscending(keys)) throw new RangeError('keys out of order')
  const encoded = keys.map((key) => encodeCbor(key))
  return (...values) => ({ keys: encoded, values })
}

/** Names with their values, each name once. */
export type CborClaims = readonly (readonly [name: string, value: CborInput])[]

/**
 * Encodes the array `[salt, name, value]` for each claim, with one byte in front of it. The results are views of one
 * buffer: made for many small items.
 *
 * @param salts - those of all claims, one after another.
 * @throws RangeError as `encodeCbor`.
 */
export function encodeSaltedCbor(
  prefix: number,
  salts: Uint8Array,
  claims: CborClaims,
): readonly Uint8Array[] {
  const saltBytes = salts.length / claims.length
  const writer: Writer = { buffer: new Uint8Array(perClaimBytes * claims.length), length: 0 }
  const ends: number[] = []
  let offset = 0
  for (const [name, value] of claims) {
    writeByte(writer, prefix)
    writeHead(writer, 4, 3)
    writeValue(writer, salts.subarray(offset, offset + saltBytes))
    offset += saltBytes
    writeText(writer, name)
    writeValue(writer, value)
    ends.push(writer.length)
  }
  let start = 0
  return ends.map((end) => {
    const item = writer.buffer.subarray(start, end)
    start = end
    return item
  })
}

function writeValue(writer: Writer, value: CborInput): void {
  if (typeof value === 'number') writeInteger(writer, value)
  else if (typeof value === 'string') writeText(writer, value)
  else if (value === null) writeByte(writer, 0xf6)
  else if (typeof value === 'boolean') writeByte(writer, value ? 0xf5 : 0xf4)
  else if (value instanceof Uint8Array) {
    writeHead(writer, 2, value.length)
    writeBytes(writer, value)
  } else if (isCborArray(value)) writeArray(writer, value)
  else if (isCborMap(value)) writeMap(writer, value)
  else writeRecord(writer, value)
}

function writeRecord(writer: Writer, { keys, values }: CborRecord): void {
  writeHead(writer, 5, keys.length)
  let index = 0
  for (const key of keys) {
    copyShort(writer, key)
    writeValue(writer, values[index] ?? null)
    index++
  }
}

function writeArray(writer: Writer, items: readonly CborValue[]): void {
  writeHead(writer, 4, items.length)
  for (const item of items) writeValue(writer, item)
}

/** Entries that came in ascending order are written as they are. */
function writeMap(writer: Writer, map: CborMap): void {
  writeHead(writer, 5, map.size)
  const entries = isAscending(map.keys())
    ? map
    : Array.from(map).toSorted(([a], [b]) => compareKeys(a, b))
  for (const [key, value] of entries) {
    writeValue(writer, key)
    writeValue(writer, value)
  }
}

function isAscending(keys: Iterable<CborKey>): boolean {
  let previous: CborKey | undefined
  for (const key of keys) {
    if (previous !== undefined && compareKeys(previous, key) > 0) return false
    previous = key
  }
  return true
}

/** The bytewise order of the encodings: unsigned, negative, text; shorter texts first. */
function compareKeys(a: CborKey, b: CborKey): number {
  if (typeof a === 'string' && typeof b === 'string') {
    return utf8Length(a) - utf8Length(b) || compareTexts(a, b)
  }
  if (typeof a === 'number' && typeof b === 'number') {
    return a < 0 && b < 0 ? b - a : majorOf(a) - majorOf(b) || a - b
  }
  return majorOf(a) - majorOf(b)
}

function majorOf(key: CborKey): number {
  if (typeof key === 'string') return 3
  return key < 0 ? 1 : 0
}

function writeInteger(writer: Writer, value: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError('not an integer of magnitude below 2^53')
  if (value >= 0) writeHead(writer, 0, value)
  else writeHead(writer, 1, -1 - value)
}

function writeText(writer: Writer, text: string): void {
  if (text.length <= shortText && writeAscii(writer, text)) return
  const bytes = encodeUtf8(text)
  writeHead(writer, 3, bytes.length)
  writeBytes(writer, bytes)
}

/** False, with nothing written, when the text is not ASCII. */
function writeAscii(writer: Writer, text: string): boolean {
  const start = writer.length
  writeHead(writer, 3, text.length)
  reserve(writer, text.length)
  const { buffer } = writer
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit > 127) {
      writer.length = start
      return false
    }
    buffer[writer.length++] = unit
  }
  return true
}

function writeHead(writer: Writer, major: number, argument: number): void {
  const top = major << 5
  if (argument < 24) writeByte(writer, top | argument)
  else if (argument < 0x100) writeBigEndian(writer, top | 24, argument, 1)
  else if (argument < 0x10000) writeBigEndian(writer, top | 25, argument, 2)
  else if (argument < 0x100000000) writeBigEndian(writer, top | 26, argument, 4)
  else writeBigEndian(writer, top | 27, argument, 8)
}

function writeBigEndian(writer: Writer, initial: number, value: number, width: number): void {
  writeByte(writer, initial)
  reserve(writer, width)
  let rest = value
  for (let place = width - 1; place >= 0; place--) {
    writer.buffer[writer.length + place] = rest % 256
    rest = Math.floor(rest / 256)
  }
  writer.length += width
}

function writeByte(writer: Writer, byte: number): void {
  reserve(writer, 1)
  writer.buffer[writer.length++] = byte
}

function writeBytes(writer: Writer, bytes: Uint8Array): void {
  reserve(writer, bytes.length)
  writer.buffer.set(bytes, writer.length)
  writer.length += bytes.length
}

/** For a few bytes a loop is faster than `set`. */
function copyShort(writer: Writer, bytes: Uint8Array): void {
  reserve(writer, bytes.length)
  const { buffer } = writer
  for (const byte of bytes) buffer[writer.length++] = byte
}

function reserve(writer: Writer, bytes: number): void {
  const needed = writer.length + bytes
  if (needed <= writer.buffer.length) return
  const grown = new Uint8Array(Math.max(needed, writer.buffer.length * 2))
  grown.set(writer.buffer)
  writer.buffer = grown
}
