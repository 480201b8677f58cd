/** Reads the fields of a decoded map by key, each checked for presence, type and size. */
import { ProtocolError, type ErrorCode } from '../errors.ts'
import { encodeUtf8 } from './byte-string.ts'
import {
  isCborArray,
  isCborMap,
  type CborKey,
  type CborMap,
  type CborValue,
} from './cbor-encode.ts'

/** Typed access to a map whose keys were checked; each method refuses another type with the reader's code. */
export type MapReader = {
  has(key: CborKey): boolean
  value(key: CborKey): CborValue
  integer(key: CborKey, minimum?: number, maximum?: number): number
  bytes(key: CborKey, minimum: number, maximum: number): Uint8Array
  text(key: CborKey, minimum: number, maximum: number): string
  array(key: CborKey, minimum: number, maximum: number): readonly CborValue[]
}

/**
 * Opens a map that has all `required` keys and none but these and the `optional` ones.
 *
 * @throws ProtocolError with `code` when it is no such map.
 */
export function openMap(
  value: CborValue | undefined,
  required: readonly CborKey[],
  optional: readonly CborKey[],
  code: ErrorCode,
): MapReader {
  if (!isCborMap(value)) throw new ProtocolError(code)
  const allowed = required.length + optional.filter((key) => value.has(key)).length
  const hasRequired = required.every((key) => value.has(key))
  if (value.size !== allowed || !hasRequired) throw new ProtocolError(code)
  return createReader(value, code)
}

/** A text of so many UTF-8 bytes, or `undefined`. */
export function textOf(value: unknown, minimum: number, maximum: number): string | undefined {
  if (typeof value !== 'string') return undefined
  const { length } = encodeUtf8(value)
  return length >= minimum && length <= maximum ? value : undefined
}

function createReader(map: CborMap, code: ErrorCode): MapReader {
  const held = <T>(value: T | undefined): T => {
    if (value === undefined) throw new ProtocolError(code)
    return value
  }
  return {
    has: (key) => map.has(key),
    value: (key) => held(map.get(key)),
    integer: (key, minimum = 0, maximum = Number.MAX_SAFE_INTEGER) => {
      const value = map.get(key)
      const fits = typeof value === 'number' && value >= minimum && value <= maximum
      return held(fits ? value : undefined)
    },
    bytes: (key, minimum, maximum) => {
      const value = map.get(key)
      const fits = value instanceof Uint8Array && value.length >= minimum && value.length <= maximum
      return held(fits ? value : undefined)
    },
    text: (key, minimum, maximum) => held(textOf(map.get(key), minimum, maximum)),
    array: (key, minimum, maximum) => {
      const value = map.get(key)
      const fits = isCborArray(value) && value.length >= minimum && value.length <= maximum
      return held(fits ? value : undefined)
    },
  }
}
