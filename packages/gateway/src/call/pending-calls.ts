/** Calls that have no statement yet: whoever asks for one can wait for its end. */

/** Owner of the calls under way. */
export type PendingCalls = {
  readonly size: number
  begin(idHex: string): void
  end(idHex: string): void
  /** Resolves when the call has ended, at once when it is not under way, and after `timeoutMs` in any case. */
  wait(idHex: string, timeoutMs: number): Promise<void>
  /** Resolves when no call is under way. */
  drained(): Promise<void>
}

/** No calls. */
export function createPendingCalls(): PendingCalls {
  const calls = new Map<string, Set<() => void>>()
  let drainListeners: (() => void)[] = []
  return {
    get size() {
      return calls.size
    },
    begin: (idHex) => {
      calls.set(idHex, noWaiters)
    },
    end: (idHex) => {
      for (const wake of calls.get(idHex) ?? []) wake()
      calls.delete(idHex)
      if (calls.size > 0) return
      for (const wake of drainListeners) wake()
      drainListeners = []
    },
    async wait(idHex, timeoutMs) {
      const waiters = calls.get(idHex)
      if (waiters === undefined || timeoutMs <= 0) return
      const own = waiters === noWaiters ? new Set<() => void>() : waiters
      calls.set(idHex, own)
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer)
          own.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, timeoutMs)
        own.add(wake)
      })
    },
    drained: () =>
      calls.size === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            drainListeners.push(resolve)
          }),
  }
}

// Most calls are never waited for: they share one empty set.
const noWaiters = new Set<() => void>()
