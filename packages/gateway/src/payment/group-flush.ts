/** Groups writes: the first is made at once, those that arrive within the next 5 ms together. */

/** Asks for the next group. */
export type GroupFlush = {
  /** Resolves when a write that began after this call has been made; rejects with the error of that write. */
  next(): Promise<void>
  /** Writes what is left, without waiting for the interval. */
  now(): Promise<void>
}

const intervalMs = 5

/** A group flush around `write`, which is synchronous and takes all that has gathered. */
export function createGroupFlush(write: () => void): GroupFlush {
  let waiting: { resolve: () => void; reject: (error: unknown) => void }[] = []
  let timer: NodeJS.Timeout | undefined
  let lastAtMs = -intervalMs

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    lastAtMs = performance.now()
    const group = waiting
    waiting = []
    try {
      write()
      for (const { resolve } of group) resolve()
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }

  return {
    next: () => {
      timer ??= setTimeout(flush, Math.max(0, lastAtMs + intervalMs - performance.now()))
      return new Promise((resolve, reject) => {
        waiting.push({ resolve, reject })
      })
    },
    now: () =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject })
        flush()
      }),
  }
}
