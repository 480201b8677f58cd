/** One sender for all schemes of a settlement key: their transactions take one nonce after the other. */
import type { Hex } from 'viem'
import type { FeeBounds } from '../chain-nodes/chain-terms.ts'
import type { Chain } from './chain.ts'
import type { SignedTransaction } from './ledger.ts'
import { stuckRule } from './replace-stuck.ts'
import { createSender, type Sender, type SettlementAccount } from './sender.ts'

/** What a sender asks a ledger about transactions of earlier processes. */
export type SenderBook = {
  transactionsFrom(transactionNonce: number): readonly SignedTransaction[]
  findTransaction(hash: Hex): SignedTransaction | undefined
}

/** A sender, and how a ledger joins it: before its scheme, and any other, sends. */
export type SharedSender = {
  readonly sender: Sender
  join(book: SenderBook): void
}

/** A sender without ledgers yet. */
export function createSharedSender(
  options: {
    readonly chain: Chain
    readonly chainId: number
    readonly account: SettlementAccount
    readonly signal: AbortSignal
  } & Partial<FeeBounds>,
): SharedSender {
  // Owned by `join`.
  const books: SenderBook[] = []
  const ledger: SenderBook = {
    transactionsFrom: (first) =>
      books
        .flatMap((book) => book.transactionsFrom(first))
        .toSorted((a, b) => a.transactionNonce - b.transactionNonce),
    findTransaction: (hash) =>
      books.map((book) => book.findTransaction(hash)).find((found) => found !== undefined),
  }
  return {
    sender: createSender({ ...options, ledger, replace: stuckRule }),
    join: (book) => {
      books.push(book)
    },
  }
}
