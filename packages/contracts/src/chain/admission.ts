/** Whether a transaction can be mined next. What is let in here is durable and paid for; the rest leaves no trace. */

import { ChainError } from './errors.ts'
import { blockGasLimit } from './genesis.ts'
import type { PendingPool } from './pending-pool.ts'
import type { SignedTransaction } from './signed-transaction.ts'

/** An account after the newest block. */
export type Account = { readonly nonce: number; readonly balanceWei: bigint }

/**
 * `next`: the transaction follows the sender's pending ones, all of them can be paid, and it fits into the next
 * block. `past`: its nonce is taken; it is a success if it is this very transaction that took it.
 *
 * @throws ChainError `transaction-refused` for a nonce gap, missing funds or a low fee; `chain-busy` when the next
 * block is full.
 */
export function admit(
  transaction: SignedTransaction,
  account: Account,
  pool: PendingPool,
  nextBaseFeeWei: bigint,
): 'next' | 'past' {
  const { count, costWei } = pool.of(transaction.sender)
  const nextNonce = account.nonce + count
  if (transaction.nonce < nextNonce) return 'past'
  if (transaction.nonce > nextNonce) throw refused(`nonce too high: next is ${nextNonce}`)
  if (account.balanceWei < costWei + transaction.maxCostWei) throw refused('insufficient funds')
  if (transaction.maxFeePerGasWei < nextBaseFeeWei) {
    throw refused(`max fee per gas less than block base fee ${nextBaseFeeWei}`)
  }
  if (pool.gas + transaction.gas > blockGasLimit) {
    throw new ChainError('chain-busy', 'the next block is full')
  }
  return 'next'
}

function refused(detail: string): ChainError {
  return new ChainError('transaction-refused', detail)
}
