/** Receipts of charges whose worker died before it had stored them: another worker issues them (RC4.13). */
import type { OwedReceipt } from '../payment/metered/owed-receipts.ts'

/** Owner of the list. `W` stands for a worker. */
export type OwedReceipts<W> = {
  add(receipts: readonly OwedReceipt[]): void
  /** What nobody issues yet is this worker's from now on. */
  take(worker: W): readonly Omit<OwedReceipt, 'stored'>[]
  /** A receipt is on the disk. */
  stored(callId: string): void
  /** The worker is gone: what it had not stored is nobody's. */
  remove(worker: W): void
}

/** Nothing is owed. */
export function createOwedReceipts<W>(): OwedReceipts<W> {
  // Owned here.
  const owed = new Map<string, { readonly receipt: OwedReceipt; by: W | undefined }>()
  return {
    add: (receipts) => {
      for (const receipt of receipts) {
        if (!owed.has(receipt.callId)) owed.set(receipt.callId, { receipt, by: undefined })
      }
    },
    take: (worker) => {
      const free = [...owed.values()].filter(({ by }) => by === undefined)
      for (const each of free) each.by = worker
      return free.map(({ receipt: { callId, requestHash, charge } }) => ({
        callId,
        requestHash,
        charge,
      }))
    },
    stored: (callId) => {
      owed.get(callId)?.receipt.stored()
      owed.delete(callId)
    },
    remove: (worker) => {
      for (const each of owed.values()) if (each.by === worker) each.by = undefined
    },
  }
}
