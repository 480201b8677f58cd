/** Takes claims out of tokens; each is there and of its type, or the token is refused by the claim's name. */
import { isCborArray, isCborMap } from '../../bytes/cbor-encode.ts'
import type { JsonMap, JsonValue } from '../../bytes/json-decode.ts'
import { textOf } from '../../bytes/map-reader.ts'
import { EvidenceError } from '../evidence-errors.ts'

/** Names of members, from the outside in. */
export type ClaimPath = readonly string[]

const maxTextBytes = 1024

/** The value there, `undefined` where there is none. */
export function findClaim(claims: JsonMap, path: ClaimPath): JsonValue | undefined {
  let value: JsonValue | undefined = claims
  for (const name of path) value = isCborMap(value) ? value.get(name) : undefined
  return value
}

/** @throws EvidenceError `token-claim-missing`. */
export function claimText(claims: JsonMap, path: ClaimPath): string {
  return held(textOf(findClaim(claims, path), 1, maxTextBytes), path)
}

/** @throws EvidenceError `token-claim-missing`, also for a negative one. */
export function claimInteger(claims: JsonMap, path: ClaimPath): number {
  const value = findClaim(claims, path)
  return held(typeof value === 'number' && value >= 0 ? value : undefined, path)
}

/** @throws EvidenceError `token-claim-missing`. */
export function claimBoolean(claims: JsonMap, path: ClaimPath): boolean {
  const value = findClaim(claims, path)
  return held(typeof value === 'boolean' ? value : undefined, path)
}

/**
 * A text for one and an array of texts for several: what EAT does with nonces.
 *
 * @throws EvidenceError `token-claim-missing`.
 */
export function claimTexts(claims: JsonMap, path: ClaimPath, maximum: number): readonly string[] {
  const value = findClaim(claims, path)
  const items = isCborArray(value) ? value : [value]
  if (items.length > maximum) throw new EvidenceError('token-claim-missing', path.join('.'))
  return items.map((item) => held(textOf(item, 1, maxTextBytes), path))
}

/** Refuses a claim that is not this. */
export function expectClaim(claims: JsonMap, path: ClaimPath, expected: string | boolean): void {
  if (findClaim(claims, path) !== expected) {
    throw new EvidenceError('token-claim-refused', path.join('.'))
  }
}

function held<T>(value: T | undefined, path: ClaimPath): T {
  if (value === undefined) throw new EvidenceError('token-claim-missing', path.join('.'))
  return value
}
