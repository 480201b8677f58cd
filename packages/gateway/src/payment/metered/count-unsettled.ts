/** How much of what was charged is not on chain yet: for those who watch the gateway. */
import type { CollectStatus } from '../collect/collect-status.ts'
import type { LedgerState } from '../ledger/ledger.ts'

/** Payments by `upto` that are not settled, and channels that are not wholly claimed. */
export type Unsettled = {
  readonly payments: number
  readonly channels: number
  /** How often each chain node said something else than the others, by its number. */
  readonly nodeDifferences?: ReadonlyMap<number, number>
  /** Payments for which the chain was to be asked, by what became of them (PA30). */
  readonly looks?: Readonly<Record<string, number>>
  /** Absent where nothing is collected. */
  readonly collect?: CollectStatus
}

/** Nothing is open. */
export const nothing: Unsettled = { payments: 0, channels: 0 }

/** Counts in the latest records. */
export function countUnsettled({ payments, channels }: LedgerState): Unsettled {
  let unsettled = 0
  for (const { state } of payments.values()) if (state.kind === 'charged') unsettled++
  let unclaimed = 0
  for (const { chargedAtomic, view } of channels.values()) {
    if (chargedAtomic > view.claimedAtomic) unclaimed++
  }
  return { payments: unsettled, channels: unclaimed }
}
