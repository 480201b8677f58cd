/** What charges of `upto` are settled with. */
import type { EvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { createUptoChargeHasher } from '@countersign/protocol/payment/upto-charge'
import type { TransactionReceipt } from 'viem'
import type { Sender } from '../exact/sender.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'
import type { SettlementWatch } from '../settlement-watch.ts'
import type { Certainty, Doubt } from './doubt.ts'
import type { FindUptoUse } from './find-use.ts'

/** What settlements are made with. */
export type UptoSettlement = {
  readonly ledger: DurableLedger
  readonly sender: Sender
  /** Our settler contract, which the payers named as facilitator. */
  readonly settler: Hex
  readonly hashCharge: ReturnType<typeof createUptoChargeHasher>
  /** Signs as a key that the settler contract knows. */
  readonly sign: (digest: Uint8Array) => EvmSignature
  readonly simulate: (call: {
    readonly to: Hex
    readonly data: Hex
    readonly gas: bigint
  }) => Promise<unknown>
  /** How often the settlement of a payment has reverted in its block; owned by the steps. */
  readonly reverted: Map<string, number>
  /** When a payment that could not be settled is tried again, and how often it was refused; owned by the steps. */
  readonly later: Map<string, { readonly atMs: bigint; readonly count: number }>
  /** What is to be said for longer before it is believed, by the key of the payment; owned by the steps. */
  readonly doubts: Map<string, Doubt>
  /** For how long; 16 blocks and a minute when absent. */
  readonly certainty?: Certainty
  /** `createUptoUseFinder`: who settled a payment when it was not us. */
  readonly findUse: FindUptoUse
  /** Follows what is settled until it is final; nothing is followed when absent. */
  readonly watch?: SettlementWatch
  /** The receipt of a transaction as soon as there is one. */
  readonly findAnyReceipt?: (hash: Hex) => Promise<TransactionReceipt | undefined>
  /** The receipt of a transaction, once it has the configured depth. */
  readonly findReceipt: (hash: Hex) => Promise<TransactionReceipt | undefined>
  readonly clock: () => number
}
