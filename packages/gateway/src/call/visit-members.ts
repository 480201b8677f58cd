/** Reads the names of all members of a JSON body, at any depth and however often they stand there. */

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a

/** Told of one member. `parent` is the member whose value (or whose array) holds the object; '' at the top. */
export type VisitMember = (name: string, parent: string, valueStart: number) => void

/**
 * Visits members in the order of the bytes. What stands inside the values of `opaque` members is the caller's own data
 * and is passed over. The body must have passed `scanTopLevel`: brackets and strings are sound, the rest may be
 * anything, and what only looks like a member is visited too.
 */
export function visitMembers(body: Buffer, opaque: ReadonlySet<string>, visit: VisitMember): void {
  const walk: Walk = { body, opaque, visit, parents: [''], pending: '', hiddenBelow: Infinity }
  let offset = 0
  while (offset < body.length) {
    const byte = body[offset]
    if (byte === quote) offset = takeString(walk, offset)
    else {
      if (byte === 0x7b || byte === 0x5b) enter(walk)
      else if (byte === 0x7d || byte === 0x5d) leave(walk)
      else if (byte === 0x2c) endValue(walk)
      offset++
    }
  }
}

/** Owned by one visit. */
type Walk = {
  readonly body: Buffer
  readonly opaque: ReadonlySet<string>
  readonly visit: VisitMember
  /** The member that each open bracket belongs to. */
  readonly parents: string[]
  /** The member whose value comes next. */
  pending: string
  /** Members deeper than this are not visited. */
  hiddenBelow: number
}

/** Takes a string, with its colon when it is a name; gives where to go on. */
function takeString(walk: Walk, offset: number): number {
  const { body, parents, opaque } = walk
  const end = endOfString(body, offset)
  const next = skipSpaces(body, end + 1)
  walk.pending = ''
  if (body[next] !== colon) return end + 1
  const valueStart = skipSpaces(body, next + 1)
  if (parents.length <= walk.hiddenBelow) {
    const name = readString(body, offset, end)
    walk.visit(name, parents.at(-1) ?? '', valueStart)
    walk.pending = name
    walk.hiddenBelow = opaque.has(name) ? parents.length : Infinity
  }
  return valueStart
}

function enter(walk: Walk): void {
  const { parents, pending } = walk
  // An object in an array belongs to the member of the array.
  parents.push(pending === '' ? (parents.at(-1) ?? '') : pending)
  walk.pending = ''
}

function leave(walk: Walk): void {
  walk.parents.pop()
  endValue(walk)
}

function endValue(walk: Walk): void {
  if (walk.parents.length <= walk.hiddenBelow) walk.hiddenBelow = Infinity
  walk.pending = ''
}

/** The string that begins here; `undefined` when the value is none. */
export function readStringAt(body: Buffer, valueStart: number): string | undefined {
  if (body[valueStart] !== quote) return undefined
  return readString(body, valueStart, endOfString(body, valueStart))
}

/** Whether the value that begins here is null, false, or an array or object without anything in it. */
export function isNothingAt(body: Buffer, valueStart: number): boolean {
  const word = body.toString('latin1', valueStart, valueStart + 5)
  if (word.startsWith('null') || word === 'false') return true
  const next = body[skipSpaces(body, valueStart + 1)]
  return (word.startsWith('[') && next === 0x5d) || (word.startsWith('{') && next === 0x7d)
}

function readString(body: Buffer, start: number, end: number): string {
  const token = body.toString('utf8', start, end + 1)
  if (!token.includes('\\')) return token.slice(1, -1)
  try {
    const text: unknown = JSON.parse(token)
    return typeof text === 'string' ? text : ''
  } catch {
    return ''
  }
}

function endOfString(body: Buffer, start: number): number {
  for (let end = body.indexOf(quote, start + 1); end >= 0; end = body.indexOf(quote, end + 1)) {
    let before = end - 1
    while (body[before] === backslash) before--
    // An even number of backslashes: they escape one another.
    if ((end - before) % 2 === 1) return end
  }
  return body.length
}

function skipSpaces(body: Buffer, from: number): number {
  let offset = from
  for (;;) {
    const byte = body[offset]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return offset
    offset++
  }
}
