/** Strict decoding of deterministic CBOR (spec/statement.md ST1): everything else is refused by name. */
import { ProtocolError } from '../errors.ts'
import { compareBytes, decodeUtf8 } from './byte-string.ts'
import type { CborKey, CborMap, CborValue } from './cbor-encode.ts'

const maxDepth = 8
const keyMajors = new Set([0, 1, 3])

type Reader = { readonly bytes: Uint8Array; offset: number }
type Head = { readonly major: number; readonly argument: number }

/**
 * Decodes exactly one item that fills the input (ST1.3, ST1.5).
 *
 * @throws ProtocolError with a `cbor-…` code.
 */
export function decodeCbor(bytes: Uint8Array, limitBytes: number): CborValue {
  if (bytes.length > limitBytes) throw new ProtocolError('cbor-too-large')
  const reader: Reader = { bytes, offset: 0 }
  const value = readItem(reader, 0)
  if (reader.offset !== bytes.length) throw new ProtocolError('cbor-trailing-bytes')
  return value
}

function readItem(reader: Reader, depth: number): CborValue {
  const { major, argument } = readHead(reader)
  switch (major) {
    case 0:
      return argument
    case 1:
      return -1 - argument
    case 2:
      return takeBytes(reader, argument)
    case 3:
      return readText(reader, argument)
    case 4:
      return readArray(reader, argument, depth + 1)
    case 5:
      return readMap(reader, argument, depth + 1)
    default:
      return argument === 22 ? null : argument === 21
  }
}

/** Judges in the order of ST1.5: additional information, type, shortest form, remaining length. */
function readHead(reader: Reader): Head {
  const initial = takeBytes(reader, 1)[0] ?? 0
  const major = initial >> 5
  const information = initial & 31
  if (information > 27) throw new ProtocolError('cbor-not-canonical')
  if (major === 6 || (major === 7 && (information < 20 || information > 22))) {
    throw new ProtocolError('cbor-unsupported-type')
  }
  const argument = information < 24 ? information : readArgument(reader, 1 << (information - 24))
  if (major < 2) refuseLargeInteger(major, argument)
  else if (major < 6) refuseLongerThanRest(reader, major === 5 ? argument * 2 : argument)
  return { major, argument }
}

function readArgument(reader: Reader, width: number): number {
  let argument = 0
  for (const byte of takeBytes(reader, width)) argument = argument * 256 + byte
  const shortest = width === 1 ? 24 : 256 ** (width / 2)
  if (argument < shortest) throw new ProtocolError('cbor-not-canonical')
  return argument
}

function refuseLargeInteger(major: number, argument: number): void {
  if (argument > Number.MAX_SAFE_INTEGER - major) throw new ProtocolError('cbor-unsupported-type')
}

function refuseLongerThanRest(reader: Reader, items: number): void {
  if (items > reader.bytes.length - reader.offset) throw new ProtocolError('cbor-truncated')
}

function readText(reader: Reader, length: number): string {
  const text = decodeUtf8(takeBytes(reader, length))
  if (text === undefined) throw new ProtocolError('cbor-invalid-utf8')
  return text
}

function readArray(reader: Reader, count: number, depth: number): readonly CborValue[] {
  refuseDepth(depth)
  const items: CborValue[] = []
  while (items.length < count) items.push(readItem(reader, depth))
  return items
}

function readMap(reader: Reader, count: number, depth: number): CborMap {
  refuseDepth(depth)
  const map = new Map<CborKey, CborValue>()
  let previous = new Uint8Array(0)
  while (map.size < count) {
    const start = reader.offset
    const key = readKey(reader, depth)
    const encodedKey = reader.bytes.slice(start, reader.offset)
    const order = compareBytes(previous, encodedKey)
    if (order === 0) throw new ProtocolError('cbor-duplicate-key')
    if (order > 0) throw new ProtocolError('cbor-not-canonical')
    previous = encodedKey
    map.set(key, readItem(reader, depth))
  }
  return map
}

/** A key of another type is refused at its first byte, before its length or content is judged. */
function readKey(reader: Reader, depth: number): CborKey {
  const initial = reader.bytes[reader.offset] ?? 0
  const isReserved = (initial & 31) > 27
  if (!isReserved && !keyMajors.has(initial >> 5)) throw new ProtocolError('cbor-unsupported-type')
  const key = readItem(reader, depth)
  if (typeof key === 'number' || typeof key === 'string') return key
  throw new ProtocolError('cbor-unsupported-type')
}

function refuseDepth(depth: number): void {
  if (depth > maxDepth) throw new ProtocolError('cbor-too-deep')
}

function takeBytes(reader: Reader, length: number): Uint8Array {
  const end = reader.offset + length
  if (end > reader.bytes.length) throw new ProtocolError('cbor-truncated')
  const taken = reader.bytes.slice(reader.offset, end)
  reader.offset = end
  return taken
}
