/** Credit that grows with time up to a bound. Whole: a minute times the tokens of a minute, and a token costs `minuteMs` of it. */

/** Owned by whoever keeps it. */
export type TokenBucket = { credit: number; atMs: number }

const minuteMs = 60_000

/** A full one. */
export function createBucket(most: number, nowMs: number): TokenBucket {
  return { credit: most * minuteMs, atMs: nowMs }
}

/** The time until there are so many tokens; 0 when they are there. A clock that goes back gives none. */
export function waitForTokens(
  bucket: TokenBucket,
  { perMinute, most, count = 1 }: BucketTerms,
  nowMs: number,
): number {
  const gained = Math.max(0, nowMs - bucket.atMs) * perMinute
  bucket.credit = Math.min(most * minuteMs, bucket.credit + gained)
  bucket.atMs = nowMs
  const missing = Math.min(count, most) * minuteMs - bucket.credit
  return missing > 0 ? missing / perMinute : 0
}

/** Takes them; they must be there. More than the bucket holds is all of it. */
export function takeTokens(bucket: TokenBucket, { most, count = 1 }: BucketTerms): void {
  bucket.credit -= Math.min(count, most) * minuteMs
}

/** Gives them back. */
export function giveTokens(bucket: TokenBucket, { most, count = 1 }: BucketTerms): void {
  bucket.credit = Math.min(most * minuteMs, bucket.credit + Math.min(count, most) * minuteMs)
}

/** `most`: how many it holds. `count`: how many are meant, 1 when absent. */
export type BucketTerms = {
  readonly perMinute: number
  readonly most: number
  readonly count?: number
}
