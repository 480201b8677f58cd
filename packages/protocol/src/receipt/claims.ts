/** The claims tree: salted leaves under an RFC 6962 root (spec/receipt.md RC3). */
import {
  compareBytes,
  compareTexts,
  concatBytes,
  encodeUtf8,
  equalBytes,
} from '../bytes/byte-string.ts'
import { decodeCbor } from '../bytes/cbor-decode.ts'
import {
  encodeSaltedCbor,
  isCborArray,
  type CborClaims,
  type CborInput,
  type CborValue,
} from '../bytes/cbor-encode.ts'
import { textOf } from '../bytes/map-reader.ts'
import { sha256, sha256Into, type Sha256Into } from '../crypto/sha256.ts'
import { ProtocolError } from '../errors.ts'
import { maxClaims } from './payload.ts'

/** One leaf: disclosed as the bytes of the claim, or withheld as its leaf hash. */
export type ClaimEntry =
  | { readonly kind: 'claim'; readonly bytes: Uint8Array }
  | { readonly kind: 'leaf'; readonly hash: Uint8Array }

/** The claims of a statement: all leaves in order, and what was signed of them. */
export type ClaimsTree = {
  readonly entries: readonly ClaimEntry[]
  readonly root: Uint8Array
}

/** A disclosed claim. */
export type Claim = { readonly name: string; readonly value: CborValue }

/** Bytes of salt for each claim; a maker of a tree needs `saltBytes` × the number of claims (RC3.1). */
export const saltBytes = 32

const maxClaimBytes = 16_384
const hashBytes = 32
const leafPrefix = 0
const nodePrefix = 1
const noBytes = new Uint8Array(0)

/**
 * Builds the tree over these claims.
 *
 * @param salts - fresh random bytes, 32 for each claim; never used twice.
 * @param hashInto - SHA-256, native where that is faster.
 * @throws RangeError for salts of another length, no claims, too many, or one that is larger than a claim may be:
 * the caller's own mistakes.
 */
export function createClaimsTree(
  claims: ReadonlyMap<string, CborInput>,
  salts: Uint8Array,
  hashInto: Sha256Into = sha256Into,
): ClaimsTree {
  if (claims.size < 1 || claims.size > maxClaims) throw new RangeError('1 to 64 claims')
  if (salts.length !== claims.size * saltBytes) throw new RangeError('one salt for each claim')
  const prefixed = encodeSaltedCbor(leafPrefix, salts, sortClaims(claims))
  const hashes = new Uint8Array(prefixed.length * hashBytes)
  const entries: ClaimEntry[] = []
  for (const leaf of prefixed) {
    if (leaf.length > maxClaimBytes + 1) throw new RangeError('a claim has at most 16,384 bytes')
    hashInto(leaf, hashes, entries.length * hashBytes)
    entries.push({ kind: 'claim', bytes: leaf.subarray(1) })
  }
  return { entries, root: hashTree(hashes, entries.length, hashInto) }
}

/** By the bytes of their names. Those that came in this order are only compared. */
function sortClaims(claims: ReadonlyMap<string, CborInput>): CborClaims {
  const list = Array.from(claims)
  return isSorted(claims.keys()) ? list : list.toSorted(([a], [b]) => compareTexts(a, b))
}

function isSorted(names: Iterable<string>): boolean {
  let previous = ''
  for (const name of names) {
    if (compareTexts(previous, name) > 0) return false
    previous = name
  }
  return true
}

/** The same tree with every claim withheld. */
export function withholdClaims(entries: readonly ClaimEntry[]): readonly ClaimEntry[] {
  return entries.map((entry) => ({ kind: 'leaf', hash: leafOf(entry) }))
}

/**
 * Judges entries against what was signed, in the order of BU3.11, and gives the disclosed claims by name.
 *
 * @throws ProtocolError `claims-…`, `claim-malformed`.
 */
export function openClaims(
  entries: readonly ClaimEntry[],
  signed: { readonly claimsRoot: Uint8Array; readonly claimsCount: number },
): ReadonlyMap<string, CborValue> {
  if (entries.length !== signed.claimsCount) throw new ProtocolError('claims-count-mismatch')
  const claims = entries.flatMap((entry) =>
    entry.kind === 'claim' ? [parseClaim(entry.bytes)] : [],
  )
  const names = claims.map(({ name }) => encodeUtf8(name))
  for (const [index, name] of names.entries()) {
    const next = names[index + 1]
    if (next !== undefined && compareBytes(name, next) >= 0) {
      throw new ProtocolError('claims-not-sorted')
    }
  }
  const root = hashTree(concatBytes(...entries.map(leafOf)), entries.length, sha256Into)
  if (!equalBytes(root, signed.claimsRoot)) throw new ProtocolError('claims-root-mismatch')
  return new Map(claims.map(({ name, value }) => [name, value]))
}

/**
 * Parses the bytes of one claim (RC3.1).
 *
 * @throws ProtocolError `claim-malformed`.
 */
export function parseClaim(bytes: Uint8Array): Claim {
  const parts = decode(bytes)
  if (!isCborArray(parts) || parts.length !== 3) throw new ProtocolError('claim-malformed')
  const [salt, name, value] = parts
  const text = textOf(name, 1, 64)
  if (!(salt instanceof Uint8Array) || salt.length !== saltBytes || text === undefined) {
    throw new ProtocolError('claim-malformed')
  }
  return { name: text, value: value ?? null }
}

/** RFC 6962 §2.1: split at the largest power of two below the number of leaves. Overwrites the hashes. */
function hashTree(hashes: Uint8Array, count: number, hashInto: Sha256Into): Uint8Array {
  const node = new Uint8Array(1 + 2 * hashBytes)
  node[0] = nodePrefix
  let left = count
  // Joining neighbours level by level, with an odd last one moved up, gives the same tree.
  while (left > 1) left = joinPairs(hashes, left, node, hashInto)
  return count === 0 ? sha256(noBytes) : hashes.slice(0, hashBytes)
}

/** Joins the hashes of one level in place; gives how many there are then. */
function joinPairs(
  hashes: Uint8Array,
  count: number,
  node: Uint8Array,
  hashInto: Sha256Into,
): number {
  const pairs = count >> 1
  for (let pair = 0; pair < pairs; pair++) {
    const start = pair * 2 * hashBytes
    // A loop: for a view of the two the engine would take longer.
    for (let index = 0; index < 2 * hashBytes; index++)
      node[1 + index] = Number(hashes[start + index])
    hashInto(node, hashes, pair * hashBytes)
  }
  if (count % 2 === 0) return pairs
  hashes.copyWithin(pairs * hashBytes, (count - 1) * hashBytes, count * hashBytes)
  return pairs + 1
}

function leafOf(entry: ClaimEntry): Uint8Array {
  if (entry.kind === 'leaf') return entry.hash
  return sha256(concatBytes(Uint8Array.of(leafPrefix), entry.bytes))
}

function decode(bytes: Uint8Array): CborValue {
  try {
    return decodeCbor(bytes, maxClaimBytes)
  } catch (cause) {
    throw new ProtocolError('claim-malformed', { cause })
  }
}
