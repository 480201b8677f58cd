/** What a facilitator can be asked for, once it was read: the seam between schemes and their settlement. */
import type { EvmCurve } from '../payment/evm-curve.ts'
import type { Chain } from '../payment/exact/chain.ts'
import type { Terms } from '../payment/exact/offer.ts'
import type { X402Deployment } from '@countersign/contracts/addresses'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { TransactionReceipt } from 'viem'

/** What the readers of schemes need. */
export type PlanSurroundings = {
  /** Of the asset and payee of the request. */
  readonly terms: Terms
  readonly chain: Chain
  readonly curve: EvmCurve
  readonly x402: X402Deployment
  /** The only account that sends. */
  readonly sender: Hex
  readonly clock: () => number
}

/** Members of an answer in the form of x402. */
export type AnswerMembers = {
  readonly payer?: string
  readonly amount?: string
  readonly extra?: Readonly<Record<string, unknown>>
}

/** A transaction of a scheme: nothing in it was chosen by the caller but what its payer, or payee, has signed. */
export type SettlementPlan = {
  readonly kind: 'transaction'
  /** Tells it from all others of its network: it is sent once. */
  readonly id: string
  /** EIP-55; undefined when nobody pays. */
  readonly payer: string | undefined
  /** What the payer’s account must hold beside what is on its way. */
  readonly amountAtomic: bigint
  readonly call: { readonly to: Hex; readonly data: Hex; readonly gas: bigint }
  /**
   * Asks the chain whether it can be settled; `pendingAtomic` is on its way from the same account. What it gives is
   * shown by /verify.
   *
   * @throws FacilitatorRefusal
   */
  check(pendingAtomic: bigint): Promise<AnswerMembers>
  /** Reasons of x402. */
  readonly reasons: {
    readonly simulation: string
    readonly transaction: string
    readonly used: string
  }
  /** Whether the transaction did what it was for: success alone is not enough (F7). */
  isDone(receipt: TransactionReceipt): boolean
  /** The members of a good answer. */
  describe(receipt: TransactionReceipt): Promise<AnswerMembers>
  /** The transaction of a stranger that did the same, not before this block. */
  findElsewhere?(fromBlock: bigint): Promise<TransactionReceipt | undefined>
}

/** What needs no transaction: a voucher that is looked at, or a charge of 0, which uses up its payment. */
export type CheckPlan = {
  readonly kind: 'check' | 'free'
  readonly id: string
  readonly payer: string
  check(): Promise<AnswerMembers>
  /** Reason of x402 when the payment was used up. */
  readonly used: string
}

/** Either. */
export type Plan = SettlementPlan | CheckPlan
