/** Finds the items of a long JSON array without parsing them. */
import type { MemberSpan } from '../call/scan-json.ts'

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const maxItems = 4096

/**
 * The items of an array; `undefined` for anything else, and for more than 4,096 items. Only brackets and strings are
 * followed: who parses an item judges the rest of it.
 */
export function scanItems(bytes: Buffer): readonly MemberSpan[] | undefined {
  const start = skipSpaces(bytes, 0)
  if (bytes[start] !== 0x5b) return undefined
  const items: MemberSpan[] = []
  let depth = 0
  let itemStart = start + 1
  for (let offset = start; offset < bytes.length; offset++) {
    const byte = bytes[offset]
    if (byte === quote) {
      offset = endOfString(bytes, offset)
      if (offset < 0) return undefined
    } else if (byte === 0x5b || byte === 0x7b) depth++
    else if (byte === 0x5d || byte === 0x7d) depth--
    const isEnd = depth === 0
    if (isEnd || (depth === 1 && byte === comma)) {
      if (items.length === maxItems) return undefined
      items.push({ start: itemStart, end: offset })
      itemStart = offset + 1
    }
    if (isEnd) return skipSpaces(bytes, offset + 1) === bytes.length ? items : undefined
  }
  return undefined
}

/** The closing quote of the string that begins here; -1 when there is none. */
function endOfString(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(quote, start + 1); end >= 0; end = bytes.indexOf(quote, end + 1)) {
    let before = end - 1
    while (bytes[before] === backslash) before--
    // An even number of backslashes: they escape one another.
    if ((end - before) % 2 === 1) return end
  }
  return -1
}

function skipSpaces(bytes: Buffer, from: number): number {
  let offset = from
  while (isSpace(bytes[offset])) offset++
  return offset
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
