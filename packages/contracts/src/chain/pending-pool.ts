/** What the accepted but not yet mined transactions will take: the next transaction is admitted on top of them. */

import type { SignedTransaction } from './signed-transaction.ts'

/** Owned by the chain's writer. Mirrors anvil's transaction pool. */
export class PendingPool {
  readonly #byHash = new Map<string, SignedTransaction>()

  /** Adding the same transaction twice changes nothing. */
  add(transaction: SignedTransaction): void {
    this.#byHash.set(transaction.hash, transaction)
  }

  /** Forgets what was there: exactly these transactions are pending. */
  replace(transactions: readonly SignedTransaction[]): void {
    this.#byHash.clear()
    for (const transaction of transactions) this.add(transaction)
  }

  /** The pending transactions in the order they were accepted. */
  list(): SignedTransaction[] {
    return [...this.#byHash.values()]
  }

  get size(): number {
    return this.#byHash.size
  }

  /** Gas limits of all pending transactions together. */
  get gas(): bigint {
    let gas = 0n
    for (const transaction of this.#byHash.values()) gas += transaction.gas
    return gas
  }

  /** How many transactions of a sender are pending, and the most they can cost, in wei. */
  of(sender: string): { count: number; costWei: bigint } {
    let count = 0
    let costWei = 0n
    for (const transaction of this.#byHash.values()) {
      if (transaction.sender !== sender) continue
      count += 1
      costWei += transaction.maxCostWei
    }
    return { count, costWei }
  }
}
