/** The PAYMENT-SIGNATURE header of x402 v2, strictly (spec/payment.md PA15.1). */
import { decodeJson, type JsonMap, type JsonValue } from '../bytes/json-decode.ts'
import { fromBase64url } from '../bytes/text-encoding.ts'
import { isJsonMap, malformed } from './json-members.ts'
import { PaymentError } from './payment-code.ts'

/** A payment payload; nothing but its outer form is judged. Absent objects are empty. */
export type PresentedPayment = {
  readonly accepted: JsonMap
  readonly payload: JsonMap
  readonly resource: JsonMap
  readonly extensions: JsonMap
}

const maxHeaderBytes = 8192
/** A payment has some sixty values. Reading thousands of them would cost more than checking a signature. */
const maxPieces = 256
const pieceMarks: ReadonlySet<number> = new Set([0x2c, 0x5b, 0x5c, 0x7b])
const paddedBase64 = /^[A-Za-z0-9+/]+={0,2}$/
const none: JsonMap = new Map()
const allowed: ReadonlySet<string> = new Set([
  'x402Version',
  'accepted',
  'payload',
  'resource',
  'extensions',
])

/**
 * Reads one header value. Node joins repeated headers by a comma, which base64 has not: they are refused.
 *
 * @throws PaymentError `payment-malformed` or `payment-version-unsupported`.
 */
export function parsePaymentHeader(header: string): PresentedPayment {
  const members = decodeHeader(header)
  if (members.get('x402Version') !== 2) {
    throw new PaymentError('payment-version-unsupported', 'x402Version is not 2.')
  }
  for (const name of members.keys()) {
    if (!allowed.has(name)) throw malformed('The payload has a member that x402 v2 has not.')
  }
  const accepted = members.get('accepted')
  const payload = members.get('payload')
  if (!isJsonMap(accepted) || !isJsonMap(payload)) {
    throw malformed('The payload has no accepted offer, or no payload of its scheme.')
  }
  if (hasProto(members)) throw malformed('The payload has a member __proto__.')
  return {
    accepted,
    payload,
    resource: optionalMap(members, 'resource'),
    extensions: optionalMap(members, 'extensions'),
  }
}

function decodeHeader(header: string): JsonMap {
  if (header.length > maxHeaderBytes) throw malformed('The header is larger than 8 KiB.')
  if (header.length % 4 !== 0 || !paddedBase64.test(header)) {
    throw malformed('The header is not padded base64.')
  }
  const unpadded = header.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_')
  const bytes = fromBase64url(unpadded)
  if (bytes !== undefined && countPieces(bytes) > maxPieces) {
    throw malformed('The payload has too many members.')
  }
  const value = bytes === undefined ? undefined : decodeJson(bytes)
  if (!isJsonMap(value)) throw malformed('The header holds no strict JSON object.')
  return value
}

/** Commas, opening brackets and escapes: there are no more values, and no more pieces of text, than these. */
function countPieces(bytes: Uint8Array): number {
  let count = 0
  for (const byte of bytes) if (pieceMarks.has(byte)) count++
  return count
}

/** Optional members of x402 may be null. */
function optionalMap(members: JsonMap, name: string): JsonMap {
  const value = members.get(name) ?? null
  if (value === null) return none
  if (!isJsonMap(value)) throw malformed(`The member ${name} is no object.`)
  return value
}

/** It would be an ordinary member here, but nobody sends it who means well. */
function hasProto(value: JsonValue): boolean {
  if (Array.isArray(value)) return value.some(hasProto)
  if (!isJsonMap(value)) return false
  return value.has('__proto__') || [...value.values()].some(hasProto)
}
