/** What happens to a channel. Amounts are atomic units; totals are cumulative, as vouchers are. */
import type { ChannelConfig } from '@countersign/protocol/payment/channel'
import type { Hex } from '@countersign/protocol/payment/evm-word'

/** What the chain says of a channel; deposits count from the configured depth on (spec/payment.md PA21.1). */
export type ChainView = {
  readonly depositedAtomic: bigint
  readonly claimedAtomic: bigint
  readonly withdrawingAtomic: bigint
  readonly withdrawRequestedAtSeconds: bigint
  readonly refundNonce: bigint
  readonly blockNumber: bigint
  /** Blocks up to this one have the configured depth. */
  readonly finalBlockNumber: bigint
}

/** The reservation of a call (PA18.3, PA18.4). */
export type CallReserved = {
  readonly type: 'call-reserved'
  readonly channelId: Hex
  /** 32 hex digits: the receipt id. */
  readonly callId: string
  /** Hash of the request that the voucher was presented with. */
  readonly requestHash: Hex
  readonly amountAtomic: bigint
  readonly ceilingAtomic: bigint
  readonly signature: Hex
  readonly mode: 'strict' | 'unique-ceiling'
  readonly maxRunningCalls: number
}

/** An event of one channel. */
export type ChannelEvent =
  | {
      readonly type: 'channel-opened'
      readonly channelId: Hex
      readonly config: ChannelConfig
      readonly view: ChainView
    }
  | { readonly type: 'channel-seen'; readonly channelId: Hex; readonly view: ChainView }
  | CallReserved
  | {
      readonly type: 'call-progressed'
      readonly channelId: Hex
      readonly callId: string
      /** What the answer so far is worth: a crash from here on charges this. */
      readonly provenAtomic: bigint
    }
  | {
      readonly type: 'call-charged'
      readonly channelId: Hex
      readonly callId: string
      readonly amountAtomic: bigint
      readonly atMs: number
    }
  | { readonly type: 'call-released'; readonly channelId: Hex; readonly callId: string }
  | { readonly type: 'refund-signed'; readonly channelId: Hex; readonly amountAtomic: bigint }
  | {
      readonly type: 'claim-sent'
      readonly channelId: Hex
      readonly totalAtomic: bigint
      readonly atMs: number
    }
  | { readonly type: 'channel-frozen' | 'channel-thawed'; readonly channelId: Hex }
