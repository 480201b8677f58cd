/** The x402 header form: standard padded base64 of UTF-8 JSON, read strictly. */
import { encodeUtf8 } from '@countersign/protocol/bytes/byte-string'
import { decodeJson, type JsonMap, type JsonValue } from '@countersign/protocol/bytes/json-decode'

/** Most characters of a header that is read here. */
export const maxHeaderCharacters = 16_384

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** The JSON value, or `undefined` for anything that is not canonical base64 of strict JSON within the limit. */
export function fromBase64Json(header: string): JsonValue | undefined {
  if (header.length > maxHeaderCharacters || !base64.test(header)) return undefined
  const binary = atob(header)
  if (btoa(binary) !== header) return undefined
  return decodeJson(Uint8Array.from(binary, (character) => character.charCodeAt(0)))
}

/** The header for a JSON value. */
export function toBase64Json(value: JsonValue): string {
  let binary = ''
  for (const byte of encodeUtf8(encodeJson(value))) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** JSON of a value whose objects are maps: no member name can reach a prototype. */
function encodeJson(value: JsonValue): string {
  if (isJsonMap(value)) {
    const members = Array.from(
      value,
      ([name, member]) => `${JSON.stringify(name)}:${encodeJson(member)}`,
    )
    return `{${members.join(',')}}`
  }
  if (isJsonArray(value)) return `[${value.map(encodeJson).join(',')}]`
  return JSON.stringify(value)
}

/** A map from the members of a literal. */
export function jsonMap(members: Readonly<Record<string, JsonValue>>): JsonValue {
  return new Map(Object.entries(members))
}

/** Whether a JSON value is an object. */
export function isJsonMap(value: JsonValue | undefined): value is JsonMap {
  return value instanceof Map
}

/** Whether a JSON value is an array. */
export function isJsonArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}
