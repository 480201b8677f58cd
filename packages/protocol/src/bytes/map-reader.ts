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
  return readMap(value, () => {
    throw new ProtocolError(code)
  })
}

/** Typed access to any map: `refuse` throws for the key whose value is missing or of another type or size. */
export function readMap(map: CborMap, refuse: (key: CborKey) => never): MapReader {
  return {
    has: (key) => map.has(key),
    value(key) {
      const value = map.get(key)
      return value === undefined ? refuse(key) : value
    },
    integer(key, minimum = 0, maximum = Number.MAX_SAFE_INTEGER) {
      const value = map.get(key)
      const fits = typeof value === 'number' && value >= minimum && value <= maximum
      return fits ? value : refuse(key)
    },
    bytes(key, minimum, maximum) {
      const value = map.get(key)
      return value instanceof Uint8Array && isWithin(value, minimum, maximum) ? value : refuse(key)
    },
    text: (key, minimum, maximum) => textOf(map.get(key), minimum, maximum) ?? refuse(key),
    array(key, minimum, maximum) {
      const value = map.get(key)
      return isCborArray(value) && isWithin(value, minimum, maximum) ? value : refuse(key)
    },
  }
}

/** A text of so many UTF-8 bytes, or `undefined`. */
export function textOf(value: unknown, minimum: number, maximum: number): string | undefined {
  if (typeof value !== 'string') return undefined
  return isWithin(encodeUtf8(value), minimum, maximum) ? value : undefined
}

function isWithin({ length }: ArrayLike<unknown>, minimum: number, maximum: number): boolean {
  return length >= minimum && length <= maximum
}
