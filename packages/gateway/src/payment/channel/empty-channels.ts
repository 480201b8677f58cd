/** Channels that held nothing when they were read: not read again for the same block (spec/payment.md PA30.4). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { keepLatest } from '../../limits/keep-latest.ts'
import type { Follower } from './follower.ts'

/** Owner of what is remembered. */
export type EmptyChannels = {
  /** Holds until the chain has another newest block, and no longer than `rememberedMs`: a deposit may have come since. */
  isEmpty(channelId: Hex): boolean
  /** Read as of this block. */
  note(channelId: Hex, blockNumber: bigint): void
}

/** By so much a real deposit is noticed later at the most, also while no block is read. */
const rememberedMs = 5000
const maxChannels = 10_000

/** Remembers nothing yet. */
export function createEmptyChannels(
  follower: Pick<Follower, 'headHash' | 'headNumber'>,
  clock: () => number,
): EmptyChannels {
  // Both owned here: when each was read, of the block that was the newest then.
  const readAtMs = new Map<string, number>()
  let headHash: Hex | undefined

  const forgetOld = (): void => {
    const newest = follower.headHash()
    if (newest === headHash) return
    headHash = newest
    readAtMs.clear()
  }

  return {
    isEmpty: (channelId) => {
      forgetOld()
      const atMs = readAtMs.get(channelId)
      // A clock that went back remembers nothing.
      return atMs !== undefined && Math.abs(clock() - atMs) < rememberedMs
    },
    note: (channelId, blockNumber) => {
      // Another block came while it was read: nobody knows what it brought.
      if (blockNumber !== follower.headNumber()) return
      forgetOld()
      keepLatest(readAtMs, channelId, clock(), maxChannels)
    },
  }
}
