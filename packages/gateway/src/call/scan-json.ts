/** Finds the top-level members of a JSON object without parsing the rest: the body itself is never re-written. */
import { isUtf8 } from 'node:buffer'

/** A member's value as bytes of the body, `end` exclusive. */
export type MemberSpan = { readonly start: number; readonly end: number }

/** Why a body is no object that we can act on. */
export type ScanFault = 'not-utf8' | 'not-an-object' | 'too-deep' | 'duplicate-member'

const maxDepth = 256
const quote = 0x22
const backslash = 0x5c
const colon = 0x3a
const openBrace = 0x7b
const openBracket = 0x5b
// A string up to this length is looked through by hand: a native search takes longer to begin.
const shortString = 32
// Such a name is what it says; others have escapes, or what JSON does not allow.
const plainName = /^"[\u0020\u0021\u0023-\u005b\u005d-\uffff]*"$/
// What JSON has outside of strings.
const nestedBytes = toTable('{}[],: \t\r\n0123456789+-.eEtrufalsn')
const escapes = toTable('"\\/bfnrtu')
const hexDigits = toTable('0123456789abcdefABCDEF')
const scalar = /^(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$/

class Fault extends Error {
  readonly fault: ScanFault

  constructor(fault: ScanFault) {
    super(fault)
    this.fault = fault
  }
}

type Scanner = { readonly body: Buffer; offset: number; nextBackslash: number }

/**
 * The members of the outermost object. Two members of one name are a fault: the provider could read the other one.
 * Below the top level only brackets and strings are followed, and what providers take beside JSON is refused (names
 * without quotes or in single ones, escapes that JSON does not have, comments): a member could hide there. Of the rest
 * the provider judges.
 */
export function scanTopLevel(body: Buffer): ReadonlyMap<string, MemberSpan> | ScanFault {
  if (!isUtf8(body)) return 'not-utf8'
  try {
    return scanObject({ body, offset: 0, nextBackslash: body.indexOf(backslash) })
  } catch (error) {
    if (error instanceof Fault) return error.fault
    throw error
  }
}

function scanObject(scanner: Scanner): ReadonlyMap<string, MemberSpan> {
  const members = new Map<string, MemberSpan>()
  expect(scanner, 0x7b)
  skipSpaces(scanner)
  if (scanner.body[scanner.offset] === 0x7d) scanner.offset++
  else {
    do {
      skipSpaces(scanner)
      const name = readName(scanner)
      if (members.has(name)) throw new Fault('duplicate-member')
      expect(scanner, 0x3a)
      members.set(name, skipValue(scanner))
    } while (continues(scanner))
  }
  skipSpaces(scanner)
  if (scanner.offset !== scanner.body.length) throw new Fault('not-an-object')
  return members
}

function readName(scanner: Scanner): string {
  const start = scanner.offset
  skipString(scanner)
  const token = scanner.body.toString('utf8', start, scanner.offset)
  return plainName.test(token) ? token.slice(1, -1) : parseToken(token)
}

function parseToken(token: string): string {
  try {
    const name: unknown = JSON.parse(token)
    if (typeof name === 'string') return name
  } catch {
    // Falls through: an escape that JSON does not have.
  }
  throw new Fault('not-an-object')
}

function continues(scanner: Scanner): boolean {
  skipSpaces(scanner)
  const byte = scanner.body[scanner.offset++]
  if (byte === 0x2c) return true
  if (byte === 0x7d) return false
  throw new Fault('not-an-object')
}

function skipValue(scanner: Scanner): MemberSpan {
  skipSpaces(scanner)
  const start = scanner.offset
  const first = scanner.body[start] ?? 0
  if (first === quote) skipString(scanner)
  else if (first === openBrace || first === openBracket) skipNested(scanner)
  else skipScalar(scanner)
  return { start, end: scanner.offset }
}

function skipNested(scanner: Scanner): void {
  const { body } = scanner
  const open: number[] = []
  // Where the last string ended: only a name in quotes has a colon behind it.
  let nameEnd = -1
  do {
    const byte = body[scanner.offset]
    if (byte === undefined) throw new Fault('not-an-object')
    if (byte === quote) {
      skipString(scanner)
      skipSpaces(scanner)
      nameEnd = scanner.offset
      continue
    }
    if (nestedBytes[byte] !== 1 || (byte === colon && scanner.offset !== nameEnd)) {
      throw new Fault('not-an-object')
    }
    scanner.offset++
    if (byte === openBrace || byte === openBracket) {
      if (open.length === maxDepth) throw new Fault('too-deep')
      // In ASCII a closer stands two behind its opener.
      open.push(byte + 2)
    } else if (byte === 0x7d || byte === 0x5d) {
      if (open.pop() !== byte) throw new Fault('not-an-object')
    }
  } while (open.length > 0)
}

function skipScalar(scanner: Scanner): void {
  const { body } = scanner
  const start = scanner.offset
  while (scanner.offset < body.length && !endsScalar(body[scanner.offset] ?? 0)) scanner.offset++
  const isScalar =
    scanner.offset - start < 64 && scalar.test(body.toString('latin1', start, scanner.offset))
  if (!isScalar) throw new Fault('not-an-object')
}

function endsScalar(byte: number): boolean {
  return byte === 0x2c || byte === 0x7d || isSpace(byte)
}

/** Jumps from quote to quote: long strings (images) cost one native search. */
function skipString(scanner: Scanner): void {
  const { body } = scanner
  if (body[scanner.offset] !== quote) throw new Fault('not-an-object')
  let from = scanner.offset + 1
  const near = Math.min(from + shortString, body.length)
  for (let index = from; index < near && body[index] !== backslash; index++) {
    if (body[index] === quote) {
      scanner.offset = index + 1
      return
    }
  }
  let end = -1
  for (;;) {
    // Looked for again only behind an escaped one: a text of many escapes is read once, not once for each.
    if (end < from) end = body.indexOf(quote, from)
    if (end < 0) throw new Fault('not-an-object')
    if (scanner.nextBackslash >= 0 && scanner.nextBackslash < from) {
      scanner.nextBackslash = body.indexOf(backslash, from)
    }
    if (scanner.nextBackslash < 0 || scanner.nextBackslash > end) {
      scanner.offset = end + 1
      return
    }
    expectEscape(body, scanner.nextBackslash)
    from = scanner.nextBackslash + 2
  }
}

function expectEscape(body: Buffer, start: number): void {
  const next = body[start + 1] ?? 0
  if (escapes[next] !== 1) throw new Fault('not-an-object')
  if (next !== 0x75) return
  for (let index = start + 2; index < start + 6; index++) {
    if (hexDigits[body[index] ?? 0] !== 1) throw new Fault('not-an-object')
  }
}

/** 1 at the bytes of these characters. */
function toTable(characters: string): Uint8Array {
  const table = new Uint8Array(256)
  for (const byte of Buffer.from(characters)) table[byte] = 1
  return table
}

function skipSpaces(scanner: Scanner): void {
  while (isSpace(scanner.body[scanner.offset])) scanner.offset++
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function expect(scanner: Scanner, byte: number): void {
  skipSpaces(scanner)
  if (scanner.body[scanner.offset] !== byte) throw new Fault('not-an-object')
  scanner.offset++
}
