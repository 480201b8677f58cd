/** Reads what a provider sent as JSON without believing that it has any particular form. */
import { scanTopLevel, type MemberSpan } from '../call/scan-json.ts'
import { scanItems } from './scan-items.ts'

/** An object whose members are not known. */
export type JsonObject = Readonly<Record<string, unknown>>

// A larger text is not parsed whole: images and the echo of long answers would hold up all other calls.
const maxParsedBytes = 65_536

/** Whether this is an object, and no array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object at a member, or one without members. */
export function objectAt(object: JsonObject, name: string): JsonObject {
  const value = object[name]
  return isObject(value) ? value : noMembers
}

/** The items of the array at a member; none when there is no array. */
export function itemsAt(object: JsonObject, name: string): readonly unknown[] {
  const value = object[name]
  return Array.isArray(value) ? value : []
}

/** A count that can be believed: a whole number that is not negative. */
export function countAt(object: JsonObject, name: string): number | undefined {
  const value = object[name]
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= maxCount
    ? value
    : undefined
}

/** The start of a text, or `null`. */
export function textAt(object: JsonObject, name: string, maxLength: number): string | null {
  const value = object[name]
  return typeof value === 'string' ? value.slice(0, maxLength) : null
}

/** JSON as it is; `undefined` for what is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** JSON text, or `undefined` for what nests deeper than the stack: a provider must not stop a statement that way. */
export function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

/**
 * JSON of any length. What is longer than 64 KiB is not parsed whole: of an object or array only the members are there
 * that are short; long ones are read in the same way, some levels down, and other long values are missing.
 */
export function parseLongJson(bytes: Buffer, levels = 5): unknown {
  if (bytes.length <= maxParsedBytes) return parseJson(bytes.toString('utf8'))
  if (levels === 0) return undefined
  const read = ({ start, end }: MemberSpan): unknown =>
    parseLongJson(bytes.subarray(start, end), levels - 1)
  const items = scanItems(bytes)
  if (items !== undefined) return items.map(read)
  const members = scanTopLevel(bytes)
  if (typeof members === 'string') return undefined
  return Object.fromEntries(Array.from(members, ([name, span]) => [name, read(span)]))
}

// Sums of a few dozen such counts are still exact.
const maxCount = 2 ** 46
const noMembers: JsonObject = Object.freeze({})
