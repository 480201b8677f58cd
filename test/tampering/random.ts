/** Random numbers that follow from a seed, so that a failure can be repeated. */

/** Draws from one seed. */
export type Random = {
  readonly seed: number
  /** An integer from 0 to `limit` − 1. */
  below(limit: number): number
  /** One of these; there is at least one. */
  pick<T>(items: readonly T[]): T
  /** So many bytes. */
  bytes(length: number): Uint8Array
}

/** The seed of this run: from the environment, or the time. */
export function chooseSeed(): number {
  return Number(process.env['COUNTERSIGN_TEST_SEED'] ?? Date.now() % 2 ** 32)
}

/** A generator (mulberry32) that starts from a seed. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit)
  return {
    seed,
    below,
    pick: (items) => {
      const [first] = items.slice(below(items.length))
      if (first === undefined) throw new Error('nothing to pick from')
      return first
    },
    bytes: (length) => Uint8Array.from({ length }, () => below(256)),
  }
}
