/** Brings charges of `upto` on chain, one step after the other, until the process closes (spec/payment.md PA17.5). */
import { setTimeout } from 'node:timers/promises'
import { stepUptoSettlements } from '../upto/settle-upto.ts'
import type { UptoSettlement } from '../upto/upto-settlement.ts'

/** Work in the background. */
export type UptoLoop = {
  /** There is something to settle: do not wait for the next turn. */
  wake(): void
  /** Resolves when the signal is aborted and no step is running. */
  readonly stopped: Promise<void>
}

/** Begins to step; a failed step is told and tried again. */
export function startUptoLoop(
  settlement: UptoSettlement,
  {
    intervalMs,
    signal,
    onFault,
  }: {
    readonly intervalMs: number
    readonly signal: AbortSignal
    readonly onFault: (error: unknown) => void
  },
): UptoLoop {
  // Owned by `run` and `wake`.
  let waking = Promise.withResolvers<void>()

  async function run(): Promise<void> {
    while (!signal.aborted) {
      waking = Promise.withResolvers<void>()
      let isFaulty = false
      let hasMore = false
      try {
        hasMore = await stepUptoSettlements(settlement)
      } catch (error) {
        isFaulty = true
        if (!signal.aborted) onFault(error)
      }
      if (hasMore) continue
      // After a fault nobody hurries: what failed would fail again at once.
      await pauseUntil(isFaulty ? undefined : waking.promise, intervalMs, signal)
    }
  }

  return {
    wake: () => {
      waking.resolve()
    },
    stopped: run(),
  }
}

async function pauseUntil(
  woken: Promise<void> | undefined,
  intervalMs: number,
  signal: AbortSignal,
): Promise<void> {
  const ending = new AbortController()
  // Aborting rejects the pause; the loop looks at the signal itself.
  const pause = setTimeout(intervalMs, undefined, {
    signal: AbortSignal.any([signal, ending.signal]),
  }).catch(() => undefined)
  await (woken === undefined ? pause : Promise.race([pause, woken]))
  ending.abort()
}
