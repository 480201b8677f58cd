/**
 * When the next group of a journal begins. A group costs some 70 µs of CPU however many records it has: while few
 * records come, each is written at once and nobody waits; when many come, they are gathered.
 */

/** Owned by one journal. All times are of a monotonic clock. */
export type Pace = {
  /** Somebody waits for a record from now on. */
  awaited(nowMs: number): void
  /** How long the next group has to gather. */
  waitMs(nowMs: number): number
  /** A group began. */
  began(nowMs: number): void
}

/** Time over which waits are counted. */
const memoryMs = 8
/** Waits in a millisecond from which on groups gather: three groups in it would take a fifth of a core. */
const gatherFrom = 3

/** A pace that lets groups begin at most every `intervalMs` once many wait. */
export function createPace(intervalMs: number): Pace {
  // Owned by the functions below. `load`: waits of late, the older the less.
  let load = 0
  let lastAwaitedMs = 0
  let lastBeganMs = -Infinity
  const loadAt = (nowMs: number): number => load * Math.exp((lastAwaitedMs - nowMs) / memoryMs)
  return {
    awaited: (nowMs) => {
      load = loadAt(nowMs) + 1
      lastAwaitedMs = nowMs
    },
    waitMs: (nowMs) =>
      loadAt(nowMs) < gatherFrom * memoryMs ? 0 : lastBeganMs + intervalMs - nowMs,
    began: (nowMs) => {
      lastBeganMs = nowMs
    },
  }
}
