/**
 * `json.dumps(json.loads(text), sort_keys=True)` of Python, byte for byte: clients of OpenGradient hash that text. Numbers
 * keep their tokens, because JavaScript cannot tell `1` from `1.0`.
 */

/** A value as Python read it. */
export type PythonValue =
  | null
  | boolean
  | string
  | PythonNumber
  | readonly PythonValue[]
  | PythonObject

/** A number by its token in the text. */
export type PythonNumber = { readonly token: string }

/** A `dict`. */
export type PythonObject = ReadonlyMap<string, PythonValue>

/** Parses JSON of bounded depth. @throws SyntaxError. */
export function parsePythonJson(text: string): PythonValue {
  const parsed: unknown = JSON.parse(text, revive)
  if (!isPythonValue(parsed)) throw new SyntaxError('no JSON value')
  return parsed
}

/** `revive` makes all below it so. */
function isPythonValue(value: unknown): value is PythonValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return true
  return (
    Array.isArray(value) || value instanceof Map || (typeof value === 'object' && 'token' in value)
  )
}

/** Whether this is a `dict`. */
export function isPythonObject(value: PythonValue | undefined): value is PythonObject {
  return value instanceof Map
}

/** Whether this is a number. */
export function isPythonNumber(value: PythonValue | undefined): value is PythonNumber {
  return typeof value === 'object' && value !== null && 'token' in value
}

/** Whether this is a list. */
export function isPythonList(value: PythonValue | undefined): value is readonly PythonValue[] {
  return Array.isArray(value)
}

/** Python's truth of a value; nothing is as false as `None`. */
export function isTruthy(value: PythonValue | undefined): boolean {
  if (value === undefined || value === null || value === false || value === '') return false
  if (isPythonNumber(value)) return Number(value.token) !== 0
  if (isPythonList(value)) return value.length > 0
  return !isPythonObject(value) || value.size > 0
}

/** `json.dumps(value, sort_keys=True)`: ASCII alone. */
export function dumpPythonJson(value: PythonValue): string {
  if (value === null) return 'null'
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  if (typeof value === 'string') return dumpString(value)
  if (isPythonNumber(value)) return dumpNumber(value.token)
  if (isPythonList(value)) return `[${value.map(dumpPythonJson).join(', ')}]`
  const members = [...value].toSorted(([a], [b]) => compareCodePoints(a, b))
  const texts = members.map(([name, member]) => `${dumpString(name)}: ${dumpPythonJson(member)}`)
  return `{${texts.join(', ')}}`
}

/** `repr(float(token))`. */
export function dumpFloat(token: string): string {
  const value = Number(token)
  if (!Number.isFinite(value)) return value < 0 ? '-Infinity' : 'Infinity'
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const [mantissa = '', power = '0'] = Math.abs(value).toExponential().split('e')
  const exponent = Number(power)
  const digits = mantissa.replace('.', '')
  if (exponent < -4 || exponent >= 16) {
    const rest = digits.length > 1 ? `.${digits.slice(1)}` : ''
    const shown = String(Math.abs(exponent)).padStart(2, '0')
    return `${sign}${digits.slice(0, 1)}${rest}e${exponent < 0 ? '-' : '+'}${shown}`
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
  const fraction = digits.slice(exponent + 1)
  return `${sign}${whole}.${fraction === '' ? '0' : fraction}`
}

function dumpNumber(token: string): string {
  if (/[.eE]/.test(token)) return dumpFloat(token)
  // Whole numbers have no sign on nought.
  return token === '-0' ? '0' : token
}

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['"', String.raw`\"`],
  ['\\', String.raw`\\`],
  ['\n', String.raw`\n`],
  ['\r', String.raw`\r`],
  ['\t', String.raw`\t`],
  ['\f', String.raw`\f`],
  ['\b', String.raw`\b`],
])

function dumpString(text: string): string {
  const escaped = text.replaceAll(/["\\]|[^ -~]/g, (unit) => {
    const code = unit.charCodeAt(0).toString(16).padStart(4, '0')
    return shortEscapes.get(unit) ?? String.raw`\u${code}`
  })
  return `"${escaped}"`
}

/** By code point: UTF-16 units would put U+1F600 before U+FFFD. */
function compareCodePoints(a: string, b: string): number {
  const left = Array.from(a)
  const right = Array.from(b)
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const difference = (left[index]?.codePointAt(0) ?? 0) - (right[index]?.codePointAt(0) ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

function revive(_name: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value === 'number') return { token: context?.source ?? String(value) }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  // A number that was replaced already comes by no second time: members are revived before their object.
  return new Map(Object.entries(value))
}
