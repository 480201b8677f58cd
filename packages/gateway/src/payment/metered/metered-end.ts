/** What a call does with its metered payment beside ending it: shared by the schemes. */
import type { MeteredEnd } from '../admission.ts'

/** The side of the scheme. */
export type OwnedMeteredEnd = MeteredEnd & {
  /** The reservation is about to end: progress means nothing any more. */
  stopProgress(): void
  /** The charge is on the disk; these headers tell the payer. */
  charged(headers: Readonly<Record<string, string>>): void
}

/** An end that has not come yet. Receipts of calls that were not charged are owed by nobody. */
export function createMeteredEnd(reservation: {
  readonly ceilingAtomic: bigint
  readonly provenAtomic?: bigint
  progress(provenAtomic: bigint): void
  receiptStored(): void
}): OwnedMeteredEnd {
  // Owned by the two functions of the scheme.
  let state: 'running' | 'ending' | 'charged' = 'running'
  let headers: Readonly<Record<string, string>> = {}
  let proven = reservation.provenAtomic ?? 0n
  return {
    headers: () => headers,
    progress: (provenAtomic) => {
      const { ceilingAtomic } = reservation
      const bounded = provenAtomic < ceilingAtomic ? provenAtomic : ceilingAtomic
      if (state !== 'running' || bounded <= proven) return
      proven = bounded
      reservation.progress(bounded)
    },
    receiptStored: () => {
      if (state === 'charged') reservation.receiptStored()
    },
    stopProgress: () => {
      state = 'ending'
    },
    charged: (given) => {
      state = 'charged'
      headers = given
    },
  }
}
