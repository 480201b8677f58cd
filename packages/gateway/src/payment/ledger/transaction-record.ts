/** Transactions that we signed and whose end is not known (spec/payment.md PA20.1, PA21.5). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { accept, refuse, type Step } from './step.ts'

/** What a transaction is for. A claim names what each of its channels will have claimed. */
export type TransactionPurpose =
  | {
      readonly kind: 'claim'
      readonly rows: readonly { readonly channelId: Hex; readonly totalAtomic: bigint }[]
    }
  /** All that tells one authorization from another: nonces are the payer's to choose, and each method has its own. */
  | {
      readonly kind: 'deposit'
      readonly channelId: Hex
      readonly payer: Hex
      readonly method: 'erc3009' | 'permit2'
      readonly authorization: Hex
      readonly amountAtomic: bigint
    }
  | { readonly kind: 'refund'; readonly channelId: Hex }
  | { readonly kind: 'upto'; readonly payer: Hex; readonly nonce: bigint }
  | { readonly kind: 'settle' }
  /** `isLast`: it brings the money to where nobody need bring it on (PA31.1). */
  | {
      readonly kind: 'collect'
      readonly step: 'settle' | 'forward'
      readonly payee: Hex
      readonly isLast: boolean
    }

/** A signed transaction. Its bytes are durable before the first of them leaves. */
export type TransactionRecord = {
  readonly hash: Hex
  readonly raw: Hex
  readonly transactionNonce: number
  readonly purpose: TransactionPurpose
}

/** `ended`: the chain has its receipt, or can never have one. `forgotten`: the node refused it. */
export type TransactionEvent =
  | { readonly type: 'transaction-signed'; readonly transaction: TransactionRecord }
  | { readonly type: 'transaction-ended' | 'transaction-forgotten'; readonly hash: Hex }

/** The record after an event; `undefined` when there is none any more. */
export function reduceTransaction(
  record: TransactionRecord | undefined,
  event: TransactionEvent,
): Step<TransactionRecord | undefined> {
  if (event.type === 'transaction-signed') {
    return record === undefined ? accept(event.transaction) : refuse('transaction-exists')
  }
  return record === undefined ? refuse('transaction-unknown') : accept(undefined)
}
