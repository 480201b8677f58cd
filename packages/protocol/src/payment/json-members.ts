/** Members of payment objects, each read with its form; what does not fit is `payment-malformed`. */
import type { JsonMap, JsonValue } from '../bytes/json-decode.ts'
import { parseAddress, parseDecimal, parseWord, type Hex } from './evm-word.ts'
import { PaymentError } from './payment-code.ts'

/** A JSON object. */
export function isJsonMap(value: JsonValue | undefined): value is JsonMap {
  return value instanceof Map
}

/** The object at this name with exactly these members. @throws PaymentError */
export function readObject(members: JsonMap, name: string, exactly: readonly string[]): JsonMap {
  const value = members.get(name)
  if (!isJsonMap(value)) throw malformed(`The member ${name} is no object.`)
  checkMembers(value, exactly)
  return value
}

/** Refuses an object that has not just these members. @throws PaymentError */
export function checkMembers(members: JsonMap, exactly: readonly string[]): void {
  if (members.size !== exactly.length || !exactly.every((name) => members.has(name))) {
    throw malformed(`Expected are just: ${exactly.join(', ')}.`)
  }
}

/** @throws PaymentError when it is no address. */
export function readAddress(members: JsonMap, name: string): Hex {
  return held(parseAddress(members.get(name)), name)
}

/** @throws PaymentError when it is not 32 bytes of hex. */
export function readWord(members: JsonMap, name: string): Hex {
  return held(parseWord(members.get(name)), name)
}

/** A whole number below 2^256, or 2^bits. @throws PaymentError when it is none in decimal. */
export function readDecimal(members: JsonMap, name: string, bits = 256n): bigint {
  return held(parseDecimal(members.get(name), bits), name)
}

/** The refusal of what cannot be read. The detail names members, never what stands in them. */
export function malformed(detail: string): PaymentError {
  return new PaymentError('payment-malformed', detail)
}

function held<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw malformed(`The member ${name} is malformed.`)
  return value
}
