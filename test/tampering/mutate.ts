/** Random changes of bundles: of their JSON text, and of the byte strings in them. */
import { concatBytes, encodeUtf8, equalBytes } from '@countersign/protocol/bytes/byte-string'
import type { ClaimEntry } from '@countersign/protocol/receipt/claims'
import { encodeBundle, type Bundle } from '@countersign/protocol/verify/bundle'
import type { Random } from './random.ts'

const tokens = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  ' ',
  '\n',
  '\\',
  '\\u0041',
  '0',
  '1',
  '-',
  'null',
  'A',
  'Q',
  '_',
  '=',
  '"leaf"',
  '"claim"',
  '\u0000',
  'é',
]

/** A change of a few bytes or a long stretch: replaced, inserted, removed, moved or repeated. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length + 1)
  const length = random.pick([1, 1, 2, 4, 32, random.below(bytes.length + 1)])
  const before = bytes.subarray(0, at)
  const stretch = bytes.subarray(at, at + length)
  const after = bytes.subarray(at + length)
  switch (random.below(7)) {
    case 0:
      return bytes.map((byte, index) => (index === at ? byte ^ (1 << random.below(8)) : byte))
    case 1:
      return concatBytes(before, random.bytes(stretch.length), after)
    case 2:
      return concatBytes(before, random.bytes(length), stretch, after)
    case 3:
      return concatBytes(before, after)
    case 4:
      return concatBytes(before, stretch, stretch, after)
    case 5:
      return concatBytes(before, stretch.toReversed(), after)
    default:
      return concatBytes(after, before, stretch)
  }
}

/** A change of the JSON text. */
function mutateText(text: string, random: Random): string {
  const at = random.below(text.length + 1)
  const length = random.pick([0, 1, 1, 2, 8, random.below(80)])
  const before = text.slice(0, at)
  const stretch = text.slice(at, at + length)
  const after = text.slice(at + length)
  switch (random.below(5)) {
    case 0:
      return before + random.pick(tokens) + after
    case 1:
      return before + stretch + random.pick(tokens) + after
    case 2:
      return before + after
    case 3:
      return before + stretch + stretch + after
    default:
      return before + Array.from(stretch).toReversed().join('') + after
  }
}

/** The bundle with one of its byte strings, or its list of claims, changed. */
function mutatePart(bundle: Bundle, random: Random): Bundle {
  const part = random.pick([
    'statement',
    'keyset',
    'claim',
    'claim',
    'claims',
    'data',
    'nonce',
    'events',
  ])
  switch (part) {
    case 'statement':
      return { ...bundle, statement: mutateBytes(bundle.statement, random) }
    case 'keyset':
      return { ...bundle, keyset: mutateBytes(bundle.keyset, random) }
    case 'claim':
      return {
        ...bundle,
        claims: mutateOne(bundle.claims, random, (entry) => mutateEntry(entry, random)),
      }
    case 'claims':
      return { ...bundle, claims: mutateList(bundle.claims, random) }
    case 'events':
      return { ...bundle, events: mutateBytes(bundle.events ?? new Uint8Array(0), random) }
    default:
      return {
        ...bundle,
        evidence: bundle.evidence.map((evidence) => ({
          ...evidence,
          ...(part === 'data'
            ? { data: mutateBytes(evidence.data, random) }
            : { nonce: mutateBytes(evidence.nonce, random) }),
        })),
      }
  }
}

/** Any of these changes, as a bundle file that differs from the one before. */
export function mutateBundle(bundle: Bundle, random: Random): Uint8Array {
  const original = encodeBundle(bundle)
  for (;;) {
    const mutated =
      random.below(2) === 0
        ? encodeBundle(mutatePart(bundle, random))
        : encodeUtf8(mutateText(new TextDecoder().decode(original), random))
    if (!equalBytes(mutated, original)) return mutated
  }
}

function mutateEntry(entry: ClaimEntry, random: Random): ClaimEntry {
  return entry.kind === 'claim'
    ? { kind: 'claim', bytes: mutateBytes(entry.bytes, random) }
    : { kind: 'leaf', hash: mutateBytes(entry.hash, random) }
}

function mutateList(claims: readonly ClaimEntry[], random: Random): readonly ClaimEntry[] {
  const from = random.below(claims.length + 1)
  const to = random.below(claims.length + 1)
  const moved = claims.slice(from, from + 1)
  const rest = claims.toSpliced(from, 1)
  switch (random.below(3)) {
    case 0:
      return rest
    case 1:
      return claims.toSpliced(to, 0, ...moved)
    default:
      return rest.toSpliced(to, 0, ...moved)
  }
}

function mutateOne<T>(items: readonly T[], random: Random, change: (item: T) => T): readonly T[] {
  const at = random.below(items.length)
  return items.map((item, index) => (index === at ? change(item) : item))
}
