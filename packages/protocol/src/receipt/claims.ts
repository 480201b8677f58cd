/** The claims tree: salted leaves under an RFC 6962 root (spec/receipt.md RC3). */
import { compareBytes, concatBytes, encodeUtf8, equalBytes } from '../bytes/byte-string.ts'
import { decodeCbor } from '../bytes/cbor-decode.ts'
import { encodeCbor, type CborValue } from '../bytes/cbor-encode.ts'
import { textOf } from '../bytes/map-reader.ts'
import { sha256, type Sha256 } from '../crypto/sha256.ts'
import { ProtocolError } from '../errors.ts'

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
const leafPrefix = Uint8Array.of(0)
const nodePrefix = Uint8Array.of(1)

/**
 * Builds the tree over these claims.
 *
 * @param salts - fresh random bytes, 32 for each claim; never used twice.
 * @param hash - SHA-256, native where that is faster.
 * @throws RangeError when the salts have another length: the caller's own mistake.
 */
export function createClaimsTree(
  claims: ReadonlyMap<string, CborValue>,
  salts: Uint8Array,
  hash: Sha256 = sha256,
): ClaimsTree {
  if (salts.length !== claims.size * saltBytes) throw new RangeError('one salt for each claim')
  const sorted = Array.from(claims).sort(([a], [b]) => compareBytes(encodeUtf8(a), encodeUtf8(b)))
  const entries = sorted.map(([name, value], index): ClaimEntry => {
    const salt = salts.subarray(index * saltBytes, (index + 1) * saltBytes)
    return { kind: 'claim', bytes: encodeCbor([salt, name, value]) }
  })
  return { entries, root: hashTree(entries.map((entry) => leafOf(entry, hash)), hash) }
}

/** The same tree with every claim withheld. */
export function withholdClaims(entries: readonly ClaimEntry[]): readonly ClaimEntry[] {
  return entries.map((entry) => ({ kind: 'leaf', hash: leafOf(entry, sha256) }))
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
  const claims = entries.flatMap((entry) => (entry.kind === 'claim' ? [parseClaim(entry.bytes)] : []))
  const names = claims.map(({ name }) => encodeUtf8(name))
  for (const [index, name] of names.entries()) {
    const next = names[index + 1]
    if (next !== undefined && compareBytes(name, next) >= 0) {
      throw new ProtocolError('claims-not-sorted')
    }
  }
  const root = hashTree(entries.map((entry) => leafOf(entry, sha256)), sha256)
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
  if (!Array.isArray(parts) || parts.length !== 3) throw new ProtocolError('claim-malformed')
  const [salt, name, value]: readonly CborValue[] = parts
  const text = textOf(name, 1, 64)
  if (!(salt instanceof Uint8Array) || salt.length !== saltBytes || text === undefined) {
    throw new ProtocolError('claim-malformed')
  }
  return { name: text, value: value ?? null }
}

/** RFC 6962 §2.1: split at the largest power of two below the number of leaves. There is at least one leaf. */
function hashTree(leaves: readonly Uint8Array[], hash: Sha256): Uint8Array {
  const [first, second] = leaves
  if (first === undefined || second === undefined) return first ?? hash(new Uint8Array(0))
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  const left = hashTree(leaves.slice(0, split), hash)
  const right = hashTree(leaves.slice(split), hash)
  return hash(concatBytes(nodePrefix, left, right))
}

function leafOf(entry: ClaimEntry, hash: Sha256): Uint8Array {
  return entry.kind === 'leaf' ? entry.hash : hash(concatBytes(leafPrefix, entry.bytes))
}

function decode(bytes: Uint8Array): CborValue {
  try {
    return decodeCbor(bytes, maxClaimBytes)
  } catch (cause) {
    throw new ProtocolError('claim-malformed', { cause })
  }
}
