/** Connections to one upstream, none of them older than an hour: fresh handshakes keep the evidence fresh. */
import type { Dispatcher, Pool } from 'undici'

/** Owner of the connections to one upstream. */
export type UpstreamPool = {
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void
  /** Calls at the upstream now, and calls that wait for a connection. */
  load(): { readonly running: number; readonly waiting: number }
  /** Ends all connections, whatever runs on them. */
  destroy(): Promise<void>
}

/** The most that the age of a connection can be when a call begins on it. */
export const poolLifetimeMs = 3_600_000

/**
 * A pool that is replaced by a new one when its time is over; calls that began on the old one end there. The age of
 * all connections is that of their pool: to ask each of them for its own, as undici does with `clientTtl`, is a look at
 * the clock for every connection and every call.
 *
 * @param open - makes a pool that has no connections yet.
 */
export function createRenewedPool(open: () => Pool, clock: () => number): UpstreamPool {
  // Owned here: the pool for new calls, and those before it that still have calls.
  let current = open()
  let renewAtMs = clock() + poolLifetimeMs
  const former = new Set<Pool>()

  function renew(nowMs: number): void {
    const old = current
    current = open()
    renewAtMs = nowMs + poolLifetimeMs
    former.add(old)
    const forget = (): void => {
      former.delete(old)
    }
    // It rejects when `destroy` comes first: that one waits for it.
    old.close().then(forget, forget)
  }

  return {
    dispatch(options, handler) {
      const nowMs = clock()
      if (nowMs >= renewAtMs) renew(nowMs)
      current.dispatch(options, handler)
    },
    load() {
      let running = 0
      let waiting = 0
      for (const { stats } of [current, ...former]) {
        running += stats.running
        waiting += stats.pending
      }
      return { running, waiting }
    },
    async destroy() {
      await Promise.all([current, ...former].map((pool) => pool.destroy()))
    },
  }
}
