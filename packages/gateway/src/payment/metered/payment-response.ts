/** The `PAYMENT-RESPONSE` of metered payments (spec/payment.md PA22). */
import type { SettleResponse } from '@x402/core/types'
import type { Charge } from '@countersign/protocol/receipt/charge'
import type { ChannelState } from '../channel/channel-state.ts'

type Headers = Readonly<Record<string, string>>

/** What was charged of a signed maximum. Its transaction follows: the charge does not wait for it. */
export function describeUptoCharge(
  network: `eip155:${string}`,
  payer: string,
  { amountAtomic }: Charge,
): Headers {
  return encode({ success: true, payer, transaction: '', network, amount: `${amountAtomic}` })
}

/** What was charged on a channel, and its state then. */
export function describeChannelCharge(
  network: `eip155:${string}`,
  payer: string,
  chargedAtomic: bigint,
  channelState: ChannelState,
): Headers {
  // By hand: every call has one, and addresses, ids and digits need no escape.
  const { channelId, balance, totalClaimed, withdrawRequestedAt, refundNonce } = channelState
  const state = `{"channelId":"${channelId}","balance":"${balance}","totalClaimed":"${totalClaimed}","withdrawRequestedAt":${withdrawRequestedAt},"refundNonce":"${refundNonce}","chargedCumulativeAmount":"${channelState.chargedCumulativeAmount}"}`
  return encodeText(
    `{"success":true,"payer":"${payer}","transaction":"","network":"${network}","amount":"","extra":{"chargedAmount":"${chargedAtomic}","channelState":${state}}}`,
  )
}

/** What was given back of a channel. */
export function describeRefund(
  network: `eip155:${string}`,
  refund: {
    readonly transaction: string
    readonly amountAtomic: bigint
    readonly channelState: ChannelState
  },
): Headers {
  const { transaction, amountAtomic, channelState } = refund
  const extra = { channelState }
  return encode({ success: true, transaction, network, amount: `${amountAtomic}`, extra })
}

/** As `encodePaymentResponseHeader` of the x402 package, without its detour over a string of bytes. */
function encode(response: SettleResponse): Headers {
  return encodeText(JSON.stringify(response))
}

function encodeText(json: string): Headers {
  return { 'payment-response': Buffer.from(json).toString('base64') }
}
