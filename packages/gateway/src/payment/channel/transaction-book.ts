/** The ledger's signed transactions, as the sender of the settlement key wants them. */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { SignedTransaction } from '../exact/ledger.ts'
import { NotSent, type SendRequest, type Sender } from '../exact/sender.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'
import type { LedgerEvent } from '../ledger/ledger.ts'
import type { TransactionPurpose } from '../ledger/transaction-record.ts'

/** What a sender asks about transactions of earlier processes. Join several books when schemes share a key. */
export type TransactionBook = {
  transactionsFrom(transactionNonce: number): readonly SignedTransaction[]
  findTransaction(hash: Hex): SignedTransaction | undefined
}

/** The book of one ledger. */
export function createTransactionBook(ledger: Pick<DurableLedger, 'state'>): TransactionBook {
  const { transactions } = ledger.state
  return {
    transactionsFrom: (first) =>
      [...transactions.values()]
        .filter(({ transactionNonce }) => transactionNonce >= first)
        .toSorted((a, b) => a.transactionNonce - b.transactionNonce),
    findTransaction: (hash) => transactions.get(hash),
  }
}

/**
 * Signs, journals, then sends. What `events` gives is journaled together with the transaction, in one group.
 *
 * @throws NotSent when the node refused it: nothing happened, and the journal says so. Any other error: it may arrive.
 */
export async function sendJournaled(
  { sender, ledger }: { readonly sender: Sender; readonly ledger: DurableLedger },
  call: Pick<SendRequest, 'to' | 'data' | 'gas' | 'yields'>,
  purpose: TransactionPurpose,
  events: readonly LedgerEvent[],
): Promise<Hex> {
  return sender.send({
    ...call,
    journal: async ({ hash, raw, transactionNonce }) => {
      const transaction = { hash, raw, transactionNonce, purpose }
      for (const event of [{ type: 'transaction-signed', transaction } as const, ...events]) {
        const step = ledger.apply(event)
        if (step.kind === 'refused') throw new NotSent({ cause: step.code })
      }
      await ledger.durable()
    },
    forget: async ({ hash }) => {
      ledger.apply({ type: 'transaction-forgotten', hash })
      await ledger.durable()
    },
  })
}
