/** Strict JSON (spec/bundle.md BU1.1): no duplicate members, integers only, bounded depth. */
import { decodeUtf8 } from './byte-string.ts'

/** Objects become maps, so that no member name can reach a prototype. */
export type JsonValue = number | string | boolean | null | readonly JsonValue[] | JsonMap

/** A JSON object. */
export type JsonMap = ReadonlyMap<string, JsonValue>

const maxDepth = 8
const space = /[ \t\n\r]*/y
const integer = /-?(?:0|[1-9][0-9]*)(?![.eE0-9])/y
// The text is matched piece by piece: no escape, or one escape.
const stringPart = /[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const unpairedSurrogate = /\p{Surrogate}/u
const literals = new Map<string, boolean | null>([
  ['true', true],
  ['false', false],
  ['null', null],
])
const escapes = new Map([
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
])

class NotJson extends Error {}

type Reader = { readonly text: string; offset: number }

/** The value, or `undefined` when the bytes are not strict JSON. */
export function decodeJson(bytes: Uint8Array): JsonValue | undefined {
  const text = decodeUtf8(bytes)
  if (text === undefined) return undefined
  const reader: Reader = { text, offset: 0 }
  try {
    const value = readValue(reader, 1)
    take(reader, space)
    return reader.offset === text.length ? value : undefined
  } catch {
    // Nothing but NotJson is thrown: the depth is bounded, and every piece of text is matched before it is used.
    return undefined
  }
}

function readValue(reader: Reader, depth: number): JsonValue {
  take(reader, space)
  const first = reader.text.charAt(reader.offset)
  if (first === '{') return readObject(reader, depth)
  if (first === '[') return readArray(reader, depth)
  if (first === '"') return readString(reader)
  for (const [word, value] of literals) {
    if (reader.text.startsWith(word, reader.offset)) {
      reader.offset += word.length
      return value
    }
  }
  return readInteger(reader)
}

function readObject(reader: Reader, depth: number): JsonMap {
  const members = new Map<string, JsonValue>()
  open(reader, depth)
  if (closes(reader, '}')) return members
  do {
    take(reader, space)
    const name = readString(reader)
    if (members.has(name)) throw new NotJson()
    take(reader, space)
    expect(reader, ':')
    members.set(name, readValue(reader, depth + 1))
  } while (continues(reader, '}'))
  return members
}

function readArray(reader: Reader, depth: number): readonly JsonValue[] {
  const items: JsonValue[] = []
  open(reader, depth)
  if (closes(reader, ']')) return items
  do items.push(readValue(reader, depth + 1))
  while (continues(reader, ']'))
  return items
}

function readInteger(reader: Reader): number {
  const value = Number(take(reader, integer) || Number.NaN)
  if (!Number.isSafeInteger(value)) throw new NotJson()
  return value + 0
}

function readString(reader: Reader): string {
  expect(reader, '"')
  let text = ''
  while (reader.text.charAt(reader.offset) !== '"') {
    const part = take(reader, stringPart)
    if (part === '') throw new NotJson()
    text += part.startsWith('\\') ? unescape(part) : part
  }
  reader.offset++
  if (unpairedSurrogate.test(text)) throw new NotJson()
  return text
}

function unescape(part: string): string {
  const kind = part.charAt(1)
  if (kind === 'u') return String.fromCharCode(Number.parseInt(part.slice(2), 16))
  return escapes.get(kind) ?? kind
}

function open(reader: Reader, depth: number): void {
  if (depth > maxDepth) throw new NotJson()
  reader.offset++
}

function closes(reader: Reader, end: string): boolean {
  take(reader, space)
  if (reader.text.charAt(reader.offset) !== end) return false
  reader.offset++
  return true
}

function continues(reader: Reader, end: string): boolean {
  if (closes(reader, end)) return false
  expect(reader, ',')
  return true
}

function expect(reader: Reader, character: string): void {
  if (reader.text.charAt(reader.offset) !== character) throw new NotJson()
  reader.offset++
}

function take(reader: Reader, pattern: RegExp): string {
  pattern.lastIndex = reader.offset
  const match = pattern.exec(reader.text)?.[0] ?? ''
  reader.offset += match.length
  return match
}
