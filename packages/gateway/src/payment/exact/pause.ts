/** Waiting that ends early when the process closes. */
import { setTimeout } from 'node:timers/promises'

/** Resolves after this time; rejects with the signal's reason when it is aborted first. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal })
}

/** The value, or `late` when it has not come after this time. The promise goes on. */
export async function withinTime<T, L>(
  promise: Promise<T>,
  milliseconds: number,
  late: L,
): Promise<T | L> {
  const ending = new AbortController()
  const timeout = setTimeout(milliseconds, late, { signal: ending.signal }).catch(() => late)
  try {
    return await Promise.race([promise, timeout])
  } finally {
    ending.abort()
  }
}
