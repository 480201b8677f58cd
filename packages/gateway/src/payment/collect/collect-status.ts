/** What an operator is told of collecting (spec/payment.md PA31.6). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { CollectStep } from './collect-place.ts'

/** What holds it up, each an answer to "why does my money not come". */
export type CollectObstacle =
  /** The token, a node or a block refused a step: it is tried again later. */
  | 'refused'
  /** The gas of this day is used up. */
  | 'gas-budget'
  | 'gas-price'
  /** The settlement key would not keep enough ether for its claims. */
  | 'ether-low'

/** What it does. `waiting`: for enough to be there, or for its interval. */
export type CollectState = 'waiting' | 'under-way' | CollectObstacle

/** How a step ended. `replaced`: by a dearer one of ours; the next look shows what became of it. */
export type CollectResult =
  | 'done'
  | 'refused'
  | 'reverted'
  | 'moved-nothing'
  | 'replaced'
  | 'not-sent'

/** Counted since the start. */
export type CollectCount = {
  readonly step: CollectStep
  readonly result: CollectResult
  readonly count: number
}

/** For metrics. */
export type CollectStatus = {
  readonly state: CollectState
  readonly inContractAtomic: bigint
  readonly heldAtomic: bigint
  readonly gasToday: bigint
  readonly counts: readonly CollectCount[]
}

/** For the log. Addresses, amounts and hashes are of the chain; words of nodes are not among them. */
export type CollectNews =
  | {
      readonly kind: 'sent'
      readonly step: CollectStep
      readonly payTo: Hex
      /** Whom the payee pays; payTo, where the contract pays it. */
      readonly paid: Hex
      readonly amountAtomic: bigint
      readonly transaction: Hex
    }
  | {
      readonly kind: 'ended'
      readonly step: CollectStep
      readonly payTo: Hex
      readonly result: CollectResult
      readonly movedAtomic: bigint
      readonly transaction: Hex
    }
  | {
      readonly kind: 'refused'
      readonly step: CollectStep
      readonly payTo: Hex
      readonly result: CollectResult
      /** The first four bytes of what the contract answered: they name its error. */
      readonly revert: Hex | undefined
      readonly tryAgainMs: number
    }
  | { readonly kind: 'state'; readonly state: CollectState }
