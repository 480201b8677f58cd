/** What a payer is told of its channel, in the words of x402 (spec/payment.md PA22). */
import type { ChannelAccount } from '../ledger/channel-account.ts'

/** `channelState` of x402: amounts in decimal. */
export type ChannelState = {
  readonly channelId: string
  readonly balance: string
  readonly totalClaimed: string
  readonly withdrawRequestedAt: number
  readonly refundNonce: string
  readonly chargedCumulativeAmount: string
}

/** Members to add to `extra` of a corrective offer, so that a payer without state can go on. */
export type CorrectiveExtra = {
  readonly channelState: ChannelState
  /** R: what running calls may still charge. */
  readonly reservedAmount: string
  readonly voucherState?: { readonly signedMaxClaimable: string; readonly signature: string }
}

/** The state of a channel after what was charged so far. */
export function describeChannel({ channelId, view, chargedAtomic }: ChannelAccount): ChannelState {
  return {
    channelId,
    balance: `${view.depositedAtomic}`,
    totalClaimed: `${view.claimedAtomic}`,
    // Seconds since the epoch fit a JSON number.
    withdrawRequestedAt: +`${view.withdrawRequestedAtSeconds}`,
    refundNonce: `${view.refundNonce}`,
    chargedCumulativeAmount: `${chargedAtomic}`,
  }
}

/** The state and the latest voucher: the payer accepts it only when its own key made that. */
export function describeCorrection(account: ChannelAccount): CorrectiveExtra {
  const { signed } = account
  const state = {
    channelState: describeChannel(account),
    reservedAmount: `${account.reservedAtomic}`,
  }
  if (signed === undefined) return state
  const signedMaxClaimable = `${signed.ceilingAtomic}`
  return { ...state, voucherState: { signedMaxClaimable, signature: signed.signature } }
}
