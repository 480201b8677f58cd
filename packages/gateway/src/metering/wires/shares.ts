/** Cuts a provider's whole into disjoint kinds: cached, written, by modality, and the rest. */
import { countAt, type JsonObject } from '../read-json.ts'
import type { UsageKind } from '@countersign/protocol/receipt/usage-kinds'
import type { UsageCounts, UsageNote } from '../usage.ts'

/** Kinds under construction. Owner: the reader of one usage object. */
export type Shares = {
  readonly counts: Partial<Record<UsageKind, number>>
  readonly notes: Set<UsageNote>
}

/** No kinds yet. */
export function createShares(): Shares {
  return { counts: {}, notes: new Set() }
}

/** Adds to a kind. A kind of which there is nothing was not used, and stays absent. */
export function addShare(shares: Shares, kind: UsageKind, count: number): void {
  if (count === 0) return
  shares.counts[kind] = (shares.counts[kind] ?? 0) + count
}

/**
 * Gives each part its tokens, in order, and the rest to `restKind`. The kinds together are never more than the whole:
 * parts that do not fit are cut, and noted (ME3.4).
 */
export function divide(
  shares: Shares,
  whole: number,
  parts: readonly (readonly [UsageKind, number])[],
  restKind: UsageKind,
): void {
  let rest = whole
  for (const [kind, count] of parts) {
    const given = Math.min(count, rest)
    if (given < count) shares.notes.add('parts-exceed-whole')
    addShare(shares, kind, given)
    rest -= given
  }
  addShare(shares, restKind, rest)
}

/** Parts of an input, by modality. Video is counted by Google alone. */
export type InputParts = {
  readonly cached: number
  readonly written: number
  readonly audio: number
  readonly image: number
  readonly video: number
  /** What of them was cached, where the provider says so. */
  readonly cachedParts?: { readonly audio: number; readonly image: number; readonly video: number }
}

/**
 * Divides an input whose total includes all its parts. A provider that does not say which modality was cached may count
 * a token as cached and as audio: what does not fit beside one another is taken as cached audio, image, video.
 */
export function divideInput(shares: Shares, whole: number, parts: InputParts): void {
  let over = Math.max(
    0,
    parts.cached + parts.written + parts.audio + parts.image + parts.video - whole,
  )
  let cached = parts.cached
  const takeCached = (count: number, most: number): number => {
    const both = Math.min(most, count, cached)
    over = Math.max(0, over - both)
    cached -= both
    return both
  }
  const names = ['audio', 'image', 'video'] as const
  const { cachedParts = noParts } = parts
  const said = names.map((name) => takeCached(parts[name], cachedParts[name]))
  const [audio = 0, image = 0, video = 0] = names.map((name, at) => {
    const known = said[at] ?? 0
    return known + takeCached(parts[name] - known, over)
  })
  divide(
    shares,
    whole,
    [
      ['cache-read', cached],
      ['cache-read-audio', audio],
      ['cache-read-image', image],
      ['cache-read-video', video],
      ['cache-write-5m', parts.written],
      ['input-audio', parts.audio - audio],
      ['input-image', parts.image - image],
      ['input-video', parts.video - video],
    ],
    'input',
  )
}

const noParts = { audio: 0, image: 0, video: 0 }

/** Notes a total that is not what its parts add up to by the provider's own rule. */
export function checkTotal(shares: Shares, total: number | undefined, expected: number): void {
  if (total !== undefined && total !== expected) shares.notes.add('total-mismatch')
}

/** Notes members with a count in them that are not known: a provider began to bill something new. */
export function checkMembers(shares: Shares, object: JsonObject, known: ReadonlySet<string>): void {
  for (const name of Object.keys(object)) {
    if (!known.has(name) && (countAt(object, name) ?? 0) > 0) shares.notes.add('unknown-member')
  }
}

/** The counts and notes of finished shares. */
export function toCounts(shares: Shares): {
  readonly counts: UsageCounts
  readonly notes: readonly UsageNote[]
} {
  return { counts: shares.counts, notes: [...shares.notes].toSorted() }
}
