/** Waits for blocks: one question to the node for all who wait, where each of them would ask for its own receipt. */
import type { PublicClient } from 'viem'
import { pause, withinTime } from './pause.ts'

/** Owned by one chain. */
export type HeadWatcher = {
  /**
   * Resolves when there is a newer block than at the last look, or after `longestMs`: nodes behind one address do not
   * agree on the newest block, so whoever waits looks again. A node that does not answer is asked again; never rejects.
   */
  nextBlock(longestMs: number): Promise<unknown>
}

/** Between two questions. */
const pollMs = 50

/** A watcher that asks only while somebody waits. */
export function createHeadWatcher(
  client: Pick<PublicClient, 'getBlockNumber'>,
  signal: AbortSignal,
): HeadWatcher {
  // Owned by `watch`, of which one runs at a time.
  let head = -1n
  let watching: Promise<void> | undefined
  const waiting = { count: 0 }

  async function watch(): Promise<void> {
    while (waiting.count > 0 && !signal.aborted) {
      const number = await client.getBlockNumber({ cacheTime: 0 }).catch(() => head)
      if (number > head) {
        head = number
        return
      }
      // Only the signal ends a pause.
      await pause(pollMs, signal).catch(() => undefined)
    }
  }

  return {
    nextBlock: async (longestMs) => {
      waiting.count++
      watching ??= watch().finally(() => {
        watching = undefined
      })
      await withinTime(watching, longestMs, undefined)
      waiting.count--
    },
  }
}
