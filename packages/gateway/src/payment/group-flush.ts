/** Groups writes: those that are asked for by calls that take their steps together are one write. */

/** Asks for the next group. */
export type GroupFlush = {
  /** Resolves when a write that began after this call has been made; rejects with the error of that write. */
  next(): Promise<void>
  /** Writes what is left at once. */
  now(): Promise<void>
}

/**
 * A group flush around `write`, which is synchronous and takes all that has gathered. A group waits for no clock: it
 * is written when all that can run without an arrival has run. Under load that is many calls (call/turns.ts), and a
 * write that takes long makes the next group larger; a call that is alone has a write of its own.
 */
export function createGroupFlush(write: () => void): GroupFlush {
  let waiting: { resolve: () => void; reject: (error: unknown) => void }[] = []

  function flush(): void {
    const group = waiting
    if (group.length === 0) return
    waiting = []
    try {
      write()
      for (const { resolve } of group) resolve()
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }

  function join(): Promise<void> {
    return new Promise((resolve, reject) => {
      waiting.push({ resolve, reject })
    })
  }

  return {
    next: () => {
      // Node runs it after all promises that are due.
      if (waiting.length === 0) process.nextTick(flush)
      return join()
    },
    now: () => {
      const written = join()
      flush()
      return written
    },
  }
}
