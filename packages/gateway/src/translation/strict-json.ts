/** JSON that means the same to everybody who reads it: what a parser would change or drop without a word is refused. */

/** Why a text is not taken. */
export type JsonFault =
  | 'not-json'
  | 'duplicate-member'
  | 'number-too-long'
  | 'member-name'
  | 'too-deep'
  | 'too-many-values'

/** A value, or why there is none. */
export type StrictJson =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'fault'; readonly fault: JsonFault }

const maxDepth = 128
// A request is translated before it is paid for, and each value costs the SDK a microsecond or two.
const maxValues = 100_000
const numberToken = /-?[0-9][0-9.eE+-]*/y

/** Parses a text. */
export function parseStrictJson(text: string): StrictJson {
  try {
    const value: unknown = JSON.parse(text)
    const fault = findFault(text)
    return fault === undefined ? { kind: 'value', value } : { kind: 'fault', fault }
  } catch {
    return { kind: 'fault', fault: 'not-json' }
  }
}

/** Whether a value that was parsed by somebody else holds a number that its parser may have rounded. */
export function holdsRoundedNumber(value: unknown): boolean {
  const pending: unknown[] = [value]
  while (pending.length > 0) {
    const next = pending.pop()
    if (typeof next === 'number' && Number.isInteger(next) && !Number.isSafeInteger(next))
      return true
    if (typeof next === 'object' && next !== null) addMembers(pending, next)
  }
  return false
}

/** One by one: a list can be longer than a call takes arguments. */
export function addMembers(pending: unknown[], value: object): void {
  const members: readonly unknown[] = Object.values(value)
  for (const member of members) pending.push(member)
}

type Level = { readonly names: Set<string> | undefined; isName: boolean }

/** Of a text that is JSON. */
function findFault(text: string): JsonFault | undefined {
  const levels: Level[] = []
  let values = 0
  for (let offset = 0; offset < text.length; offset++) {
    const level = levels.at(-1)
    switch (text.charAt(offset)) {
      case '"': {
        const end = endOfString(text, offset)
        const fault = takeString(text.slice(offset, end), level)
        if (fault !== undefined) return fault
        offset = end - 1
        break
      }
      case '{':
      case '[':
        if (levels.length === maxDepth) return 'too-deep'
        values++
        levels.push(openLevel(text.charAt(offset)))
        break
      case '}':
      case ']':
        levels.pop()
        break
      case ':':
        expectName(level, false)
        break
      case ',':
        expectName(level, true)
        if (++values > maxValues) return 'too-many-values'
        break
      default: {
        const number = numberAt(text, offset)
        if (number === '') break
        if (isRounded(number)) return 'number-too-long'
        offset += number.length - 1
      }
    }
  }
  return undefined
}

/** After a comma a name stands in an object, and a value in a list. */
function expectName(level: Level | undefined, isNext: boolean): void {
  if (level !== undefined) level.isName = isNext && level.names !== undefined
}

function openLevel(bracket: string): Level {
  return bracket === '{' ? { names: new Set(), isName: true } : { names: undefined, isName: false }
}

function takeString(token: string, level: Level | undefined): JsonFault | undefined {
  if (level?.names === undefined || !level.isName) return undefined
  const name: unknown = JSON.parse(token)
  if (typeof name !== 'string' || name === '__proto__') return 'member-name'
  if (level.names.has(name)) return 'duplicate-member'
  level.names.add(name)
  return undefined
}

/** The end of the string that begins here, its quote included. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let first = end
    while (text.charAt(first - 1) === '\\') first--
    if ((end - first) % 2 === 0) return end + 1
  }
}

function numberAt(text: string, offset: number): string {
  numberToken.lastIndex = offset
  return numberToken.exec(text)?.[0] ?? ''
}

/** Whole numbers beyond 2^53 and numbers beyond all doubles change their value in JavaScript. */
function isRounded(token: string): boolean {
  const value = Number(token)
  return !Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))
}
