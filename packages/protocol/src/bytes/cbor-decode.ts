/**
 * Strict decoding of deterministic CBOR (spec/statement.md ST1): everything else is refused by name.
 *
 * Signed documents of others need not be deterministic: for these there is a reader that differs in two rules only.
 */
import { ProtocolError } from '../errors.ts'
import { compareBytes, copyBytes, decodeUtf8 } from './byte-string.ts'
import type { CborKey, CborMap, CborValue } from './cbor-encode.ts'

const maxDepth = 8
const breakByte = 0xff
const indefinite = 31
const allMajors = new Set([0, 1, 2, 3, 4, 5, 7])
const keyMajors = new Set([0, 1, 3])

type Reader = {
  readonly bytes: Uint8Array
  readonly profile: 'deterministic' | 'foreign'
  offset: number
}
// A count of `Infinity` ends at a break byte.
type Head = { readonly major: number; readonly argument: number }

/**
 * Decodes exactly one item that fills the input (ST1.3, ST1.5).
 *
 * @throws ProtocolError with a `cbor-…` code.
 */
export function decodeCbor(bytes: Uint8Array, limitBytes: number): CborValue {
  return decodeAs('deterministic', bytes, limitBytes)
}

/**
 * Decodes one item of a signed document that is not ours: keys of maps come in any order, and arrays and maps can have
 * the indefinite form. All else is as strict as ST1: shortest heads, no equal keys, no tags, floats or bytes behind.
 *
 * Two encodings can have one meaning here: only bytes that somebody signed may be read so.
 *
 * @throws ProtocolError with a `cbor-…` code.
 */
export function decodeForeignCbor(bytes: Uint8Array, limitBytes: number): CborValue {
  return decodeAs('foreign', bytes, limitBytes)
}

function decodeAs(profile: Reader['profile'], bytes: Uint8Array, limitBytes: number): CborValue {
  if (bytes.length > limitBytes) throw new ProtocolError('cbor-too-large')
  const reader: Reader = { bytes, profile, offset: 0 }
  const value = readItem(reader, 0)
  if (reader.offset !== bytes.length) throw new ProtocolError('cbor-trailing-bytes')
  return value
}

function readItem(reader: Reader, depth: number): CborValue {
  const { major, argument } = readHead(reader, allMajors)
  switch (major) {
    case 0:
    case 1:
    case 3:
      return readScalar(reader, major, argument)
    case 2:
      return takeBytes(reader, argument)
    case 4:
      return readArray(reader, argument, depth + 1)
    case 5:
      return readMap(reader, argument, depth + 1)
    default:
      return argument === 22 ? null : argument === 21
  }
}

/** Judges in the order of ST1.5: additional information, type, shortest form, remaining length. */
function readHead(reader: Reader, majors: ReadonlySet<number>): Head {
  const initial = takeByte(reader)
  const major = initial >> 5
  const information = initial & 31
  const hasEnd = major === 4 || major === 5
  if (information === indefinite && hasEnd && reader.profile === 'foreign' && majors.has(major)) {
    return { major, argument: Infinity }
  }
  if (information > 27) throw new ProtocolError('cbor-not-canonical')
  const isKnown = majors.has(major) && (major < 7 || (information >= 20 && information <= 22))
  if (!isKnown) throw new ProtocolError('cbor-unsupported-type')
  const argument = information < 24 ? information : readArgument(reader, 1 << (information - 24))
  if (major < 2) refuseLargeInteger(major, argument)
  else if (major < 6) refuseLongerThanRest(reader, major === 5 ? argument * 2 : argument)
  return { major, argument }
}

/** An integer or a text: what can be a key. */
function readScalar(reader: Reader, major: number, argument: number): CborKey {
  if (major === 3) return readText(reader, argument)
  return major === 0 ? argument : -1 - argument
}

function readArgument(reader: Reader, width: number): number {
  let argument = 0
  for (let place = 0; place < width; place++) argument = argument * 256 + takeByte(reader)
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
  while (items.length < count && !takesBreak(reader, count)) items.push(readItem(reader, depth))
  return items
}

function readMap(reader: Reader, count: number, depth: number): CborMap {
  refuseDepth(depth)
  const map = new Map<CborKey, CborValue>()
  let previous: Uint8Array = new Uint8Array(0)
  while (map.size < count && !takesBreak(reader, count)) {
    const start = reader.offset
    // A key of another type is refused at its first byte, before its length or content is judged.
    const { major, argument } = readHead(reader, keyMajors)
    const key = readScalar(reader, major, argument)
    const encodedKey = reader.bytes.subarray(start, reader.offset)
    const order = reader.profile === 'foreign' ? -1 : compareBytes(previous, encodedKey)
    if (order === 0 || (order < 0 && map.has(key))) throw new ProtocolError('cbor-duplicate-key')
    if (order > 0) throw new ProtocolError('cbor-not-canonical')
    previous = encodedKey
    map.set(key, readItem(reader, depth))
  }
  return map
}

/** True, past the byte, where a collection of indefinite length ends. */
function takesBreak(reader: Reader, count: number): boolean {
  if (count !== Infinity || reader.bytes[reader.offset] !== breakByte) return false
  reader.offset++
  return true
}

function refuseDepth(depth: number): void {
  if (depth > maxDepth) throw new ProtocolError('cbor-too-deep')
}

function takeBytes(reader: Reader, length: number): Uint8Array {
  const end = reader.offset + length
  const taken = copyBytes(reader.bytes, reader.offset, end)
  reader.offset = end
  return taken
}

function takeByte(reader: Reader): number {
  const byte = reader.bytes[reader.offset]
  if (byte === undefined) throw new ProtocolError('cbor-truncated')
  reader.offset++
  return byte
}
