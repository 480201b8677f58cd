/** Random numbers that come again with their seed. */

/** A source of numbers; not for secrets. */
export type Random = {
  /** A whole number from 0 to below this. */
  below(limit: number): number
  amount(limit: number): bigint
  chance(percent: number): boolean
  pick<T>(choices: readonly T[]): T
}

/** The same seed gives the same numbers (mulberry32). */
export function createRandom(seed: number): Random {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
  return {
    below,
    amount: (limit) => BigInt(below(limit)),
    chance: (percent) => below(100) < percent,
    pick: (choices) => {
      const choice = choices[below(choices.length)]
      if (choice === undefined) throw new RangeError('nothing to pick from')
      return choice
    },
  }
}
