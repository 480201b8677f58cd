/** Reads JSON files of the tool chain (manifests, lock, reports) without trusting their shape. */
import { readFileSync } from 'node:fs'

/** A JSON object as a map, so that a key named `__proto__` is a key like any other. */
export type JsonObject = ReadonlyMap<string, unknown>

/** The object in the file at `path`. @throws Error when it holds something else. */
export function readJsonObject(path: string): JsonObject {
  const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
  return toObject(value, path)
}

/** `value` as an object; `what` names it in the error. @throws Error when it is not one. */
export function toObject(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${what} is not an object`)
  }
  return new Map(Object.entries(value))
}

/** The object under `key`, empty when absent. @throws Error when something else stands there. */
export function objectAt(object: JsonObject, key: string): JsonObject {
  const value = object.get(key)
  return value === undefined ? new Map() : toObject(value, key)
}

/** The text under `key`, or undefined when it is absent or not a text. */
export function textAt(object: JsonObject, key: string): string | undefined {
  const value = object.get(key)
  return typeof value === 'string' ? value : undefined
}

/** The number under `key`. @throws Error when there is none. */
export function numberAt(object: JsonObject, key: string): number {
  const value = object.get(key)
  if (typeof value !== 'number') throw new Error(`${key} is not a number`)
  return value
}
