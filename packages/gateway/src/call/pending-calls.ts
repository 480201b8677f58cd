/** Calls that have no statement yet: whoever asks for one can wait for its end. */

/** A call under way. */
export type PendingCall = {
  readonly idHex: string
  /** Ends the call before its time. */
  stop(): void
}

/** Owner of the list of calls under way. */
export type PendingCalls = {
  readonly size: number
  begin(call: PendingCall): PendingEntry
  end(entry: PendingEntry): void
  /** Resolves when the call has ended, at once when it is not under way, and after `timeoutMs` in any case. */
  wait(idHex: string, timeoutMs: number): Promise<void>
  /** Resolves when all calls that are under way now have ended, whatever began since. */
  presentEnded(): Promise<void>
  /** Resolves when no call is under way. */
  drained(): Promise<void>
  /** Stops every call under way. */
  stopAll(): void
  /** From here on no call is taken: those that still come on open connections are refused. */
  close(): void
  readonly isClosed: boolean
}

/** A place in the list; owned by the list. */
export type PendingEntry = {
  readonly call: PendingCall
  slot: number
  waiters: Set<() => void> | undefined
}

/**
 * No calls. A list with holes filled from its end: a Set or a Map that many calls enter and leave makes a new table
 * again and again, and each dead table, once it is old, keeps alive what it held. That cost 40 µs a call.
 */
export function createPendingCalls(): PendingCalls {
  const entries: PendingEntry[] = []
  let drainListeners: (() => void)[] = []
  let isClosed = false
  return {
    get isClosed() {
      return isClosed
    },
    close: () => {
      isClosed = true
    },
    get size() {
      return entries.length
    },
    begin: (call) => {
      const entry: PendingEntry = { call, slot: entries.length, waiters: undefined }
      entries.push(entry)
      return entry
    },
    end: (entry) => {
      const last = entries.pop()
      if (last !== undefined && last !== entry) {
        entries[entry.slot] = last
        last.slot = entry.slot
      }
      for (const wake of entry.waiters ?? []) wake()
      if (entries.length > 0) return
      for (const wake of drainListeners) wake()
      drainListeners = []
    },
    async wait(idHex, timeoutMs) {
      const entry = entries.find(({ call }) => call.idHex === idHex)
      if (entry === undefined || timeoutMs <= 0) return
      const waiters = (entry.waiters ??= new Set())
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer)
          waiters.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, timeoutMs)
        waiters.add(wake)
      })
    },
    async presentEnded() {
      await Promise.all(
        entries.map(
          (entry) =>
            new Promise<void>((resolve) => {
              entry.waiters ??= new Set()
              entry.waiters.add(resolve)
            }),
        ),
      )
    },
    drained: () =>
      entries.length === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            drainListeners.push(resolve)
          }),
    stopAll: () => {
      const stopped = [...entries]
      for (const { call } of stopped) call.stop()
    },
  }
}
