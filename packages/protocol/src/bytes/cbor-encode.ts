/** Deterministic CBOR of the subset that statements use (spec/statement.md ST1). */
import { compareBytes, encodeUtf8 } from './byte-string.ts'

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

/** A CBOR map; the order of insertion does not matter. */
export type CborMap = ReadonlyMap<CborKey, CborValue>

type Writer = { buffer: Uint8Array; length: number }

/**
 * Encodes by ST1.1.
 *
 * @throws RangeError for a number that is no integer of magnitude below 2^53: the caller's own mistake.
 */
export function encodeCbor(value: CborValue): Uint8Array {
  const writer: Writer = { buffer: new Uint8Array(256), length: 0 }
  writeValue(writer, value)
  return writer.buffer.slice(0, writer.length)
}

/** The head of a byte string of this length: what ST2.4 needs around bytes that are already there. */
export function encodeByteStringHead(length: number): Uint8Array {
  const writer: Writer = { buffer: new Uint8Array(9), length: 0 }
  writeHead(writer, 2, length)
  return writer.buffer.slice(0, writer.length)
}

function writeValue(writer: Writer, value: CborValue): void {
  if (typeof value === 'number') writeInteger(writer, value)
  else if (typeof value === 'string') writeText(writer, value)
  else if (value instanceof Uint8Array) {
    writeHead(writer, 2, value.length)
    writeBytes(writer, value)
  } else if (value === null) writeByte(writer, 0xf6)
  else if (typeof value === 'boolean') writeByte(writer, value ? 0xf5 : 0xf4)
  else if (isMap(value)) writeMap(writer, value)
  else writeArray(writer, value)
}

function isMap(value: readonly CborValue[] | CborMap): value is CborMap {
  return value instanceof Map
}

function writeArray(writer: Writer, items: readonly CborValue[]): void {
  writeHead(writer, 4, items.length)
  for (const item of items) writeValue(writer, item)
}

function writeMap(writer: Writer, map: CborMap): void {
  const entries = Array.from(map, ([key, value]) => ({ key: encodeCbor(key), value }))
  entries.sort((a, b) => compareBytes(a.key, b.key))
  writeHead(writer, 5, entries.length)
  for (const { key, value } of entries) {
    writeBytes(writer, key)
    writeValue(writer, value)
  }
}

function writeInteger(writer: Writer, value: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError('not an integer of magnitude below 2^53')
  if (value >= 0) writeHead(writer, 0, value)
  else writeHead(writer, 1, -1 - value)
}

function writeText(writer: Writer, text: string): void {
  const bytes = encodeUtf8(text)
  writeHead(writer, 3, bytes.length)
  writeBytes(writer, bytes)
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
  for (let place = width - 1; place >= 0; place--) {
    writeByte(writer, Math.floor(value / 256 ** place) % 256)
  }
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

function reserve(writer: Writer, bytes: number): void {
  const needed = writer.length + bytes
  if (needed <= writer.buffer.length) return
  const grown = new Uint8Array(Math.max(needed, writer.buffer.length * 2))
  grown.set(writer.buffer)
  writer.buffer = grown
}
