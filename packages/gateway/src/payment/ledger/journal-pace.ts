/**
 * When the next group of a journal begins. A group costs some 70 µs of CPU however many records it has: while few
 * records come, each is written at once and nobody waits; when many come, they are gathered. So they are when the
 * process has nothing to spare: then all calls would wait for those 70 µs.
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

/** Under this share of idle time the process has nothing to spare. */
const leastIdle = 0.1
/** Groups are so much rarer then. */
const sparing = 3

/**
 * A pace that lets groups begin at most every `intervalMs` once many wait.
 *
 * @param readIdleMs - how long the process has waited for something to do since it began.
 */
export function createPace(intervalMs: number, readIdleMs: () => number): Pace {
  // Owned by the functions below. `load`: waits of late, the older the less.
  let load = 0
  let lastAwaitedMs = 0
  let lastBeganMs = -Infinity
  let isBusy = false
  let seenMs = 0
  let seenIdleMs = 0
  const loadAt = (nowMs: number): number => load * Math.exp((lastAwaitedMs - nowMs) / memoryMs)

  function look(nowMs: number): void {
    if (nowMs - seenMs < memoryMs) return
    const idleMs = readIdleMs()
    isBusy = idleMs - seenIdleMs < leastIdle * (nowMs - seenMs)
    seenMs = nowMs
    seenIdleMs = idleMs
  }

  return {
    awaited: (nowMs) => {
      load = loadAt(nowMs) + 1
      lastAwaitedMs = nowMs
      look(nowMs)
    },
    waitMs: (nowMs) => {
      if (isBusy) return lastBeganMs + sparing * intervalMs - nowMs
      return loadAt(nowMs) < gatherFrom * memoryMs ? 0 : lastBeganMs + intervalMs - nowMs
    },
    began: (nowMs) => {
      lastBeganMs = nowMs
    },
  }
}
