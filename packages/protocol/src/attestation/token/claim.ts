/** Takes claims out of tokens; each is there and of its type, or the token is refused by the claim's name. */
import { isCborArray, isCborMap } from '../../bytes/cbor-encode.ts'
import type { JsonMap, JsonValue } from '../../bytes/json-decode.ts'
import { textOf } from '../../bytes/map-reader.ts'
import { fromHex } from '../../bytes/text-encoding.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { maxClaimBytes } from '../limits.ts'

/** Names of members, from the outside in, with dots between: `submods.gce.instance_id`. */
export type ClaimPath = string

const code = 'token-claim-missing'

/** The value there, `undefined` where there is none. */
export function findClaim(claims: JsonMap, path: ClaimPath): JsonValue | undefined {
  let value: JsonValue | undefined = claims
  for (const name of path.split('.')) value = isCborMap(value) ? value.get(name) : undefined
  return value
}

/** @throws EvidenceError `token-claim-missing`. */
export function claimText(claims: JsonMap, path: ClaimPath): string {
  return textOf(findClaim(claims, path), 1, maxClaimBytes) ?? refuse(code, path)
}

/** @throws EvidenceError `token-claim-missing`, also for what is not strict hex. */
export function claimHex(claims: JsonMap, path: ClaimPath): Uint8Array {
  return fromHex(claimText(claims, path)) ?? refuse(code, path)
}

/** @throws EvidenceError `token-claim-missing`, also for a negative one. */
export function claimInteger(claims: JsonMap, path: ClaimPath): number {
  const value = findClaim(claims, path)
  refuseUnless(typeof value === 'number' && value >= 0, code, path)
  return value
}

/** @throws EvidenceError `token-claim-missing`. */
export function claimBoolean(claims: JsonMap, path: ClaimPath): boolean {
  const value = findClaim(claims, path)
  refuseUnless(typeof value === 'boolean', code, path)
  return value
}

/**
 * A text for one and an array of texts for several: what EAT does with nonces.
 *
 * @throws EvidenceError `token-claim-missing`.
 */
export function claimTexts(claims: JsonMap, path: ClaimPath, maximum: number): readonly string[] {
  const value = findClaim(claims, path)
  const items = isCborArray(value) ? value : [value]
  refuseUnless(items.length <= maximum, code, path)
  return items.map((item) => textOf(item, 1, maxClaimBytes) ?? refuse(code, path))
}

/** Refuses a claim that is none of these. */
export function expectClaim(
  claims: JsonMap,
  path: ClaimPath,
  ...expected: readonly (string | boolean | undefined)[]
): void {
  const value = findClaim(claims, path)
  const isExpected = expected.some((candidate) => candidate === value)
  refuseUnless(isExpected, 'token-claim-refused', path)
}
