/** Strict JSON (spec/bundle.md BU1.1): no duplicate members, integers only, bounded depth. */
import { decodeUtf8 } from './byte-string.ts'

/** Objects become maps, so that no member name can reach a prototype. */
export type JsonValue = number | string | boolean | null | readonly JsonValue[] | JsonMap

/** A JSON object. */
export type JsonMap = ReadonlyMap<string, JsonValue>

const maxDepth = 8
// A sign, the beginning of a text, a word, or the end.
const token = /[ \t\n\r]*([[\]{},:"]|[-+.\w]+|$)/y
const integer = /^-?[0-9]+$/
const unpairedSurrogate = /\p{Surrogate}/u

type Reader = { readonly text: string; offset: number }

/** The value, or `undefined` when the bytes are not strict JSON. */
export function decodeJson(bytes: Uint8Array): JsonValue | undefined {
  const text = decodeUtf8(bytes)
  if (text === undefined) return undefined
  const reader: Reader = { text, offset: 0 }
  try {
    const value = readValue(reader, take(reader), 1)
    return take(reader) === '' ? value : undefined
  } catch {
    // Nothing but SyntaxError is thrown: the depth is bounded.
    return undefined
  }
}

function readValue(reader: Reader, first: string, depth: number): JsonValue {
  if (first !== '{' && first !== '[') return toScalar(first)
  if (depth > maxDepth) throw new SyntaxError()
  return first === '{' ? readObject(reader, depth + 1) : readArray(reader, depth + 1)
}

function readObject(reader: Reader, depth: number): JsonMap {
  const members = new Map<string, JsonValue>()
  readAll(reader, '}', (first) => {
    const name = toScalar(first)
    const isMember = typeof name === 'string' && !members.has(name) && take(reader) === ':'
    if (!isMember) throw new SyntaxError()
    members.set(name, readValue(reader, take(reader), depth))
  })
  return members
}

function readArray(reader: Reader, depth: number): readonly JsonValue[] {
  const items: JsonValue[] = []
  readAll(reader, ']', (first) => {
    items.push(readValue(reader, first, depth))
  })
  return items
}

/** Reads what commas separate, up to `end`. `readOne` gets the first token of each. */
function readAll(reader: Reader, end: string, readOne: (first: string) => void): void {
  let next = take(reader)
  if (next === end) return
  readOne(next)
  for (next = take(reader); next === ','; next = take(reader)) readOne(take(reader))
  if (next !== end) throw new SyntaxError()
}

/** What is no array and no object: `JSON.parse` refuses tokens that are not JSON. */
function toScalar(word: string): number | string | boolean | null {
  const value: unknown = JSON.parse(word)
  if (typeof value === 'number' && Number.isSafeInteger(value) && integer.test(word)) {
    return value + 0
  }
  if (typeof value === 'string' && !unpairedSurrogate.test(value)) return value
  if (typeof value === 'boolean' || value === null) return value
  throw new SyntaxError()
}

/** The next token; the empty text at the end. */
function take(reader: Reader): string {
  const { text } = reader
  token.lastIndex = reader.offset
  const [, first] = token.exec(text) ?? []
  if (first === undefined) throw new SyntaxError()
  const start = token.lastIndex - first.length
  reader.offset = first === '"' ? endOfText(text, start) : token.lastIndex
  return text.slice(start, reader.offset)
}

/** Where a text ends that begins with the quotation mark at `start`. */
function endOfText(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at + 1
  }
  throw new SyntaxError()
}
