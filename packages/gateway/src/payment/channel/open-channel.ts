/** A channel that the ledger does not know: nothing is served before the chain shows it (spec/payment.md PA18.2). */
import type { ChannelConfig } from '@countersign/protocol/payment/channel'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import type { ChannelAccount } from '../ledger/channel-account.ts'
import type { ChannelContext } from './channel-context.ts'

/** Reads of the chain that may be under way at once: anybody can sign vouchers for channels that do not exist. */
const maxReads = 64

/**
 * Reads a channel and opens its record. Calls for the same channel share one read.
 *
 * @throws PaymentError `channel-unknown` when it holds nothing unclaimed at the configured depth, `channel-frozen` when it has a
 * past that this ledger does not know, `channel-chain-stale` when too many are being read.
 */
export async function openChannel(
  context: ChannelContext,
  config: ChannelConfig,
  channelId: Hex,
): Promise<ChannelAccount> {
  const { opening } = context
  const joined = opening.get(channelId)
  if (joined !== undefined) return joined
  if (opening.size >= maxReads) {
    throw new PaymentError('channel-chain-stale', 'Too many channels are being opened.')
  }
  const reading = readAndOpen(context, config, channelId).finally(() => opening.delete(channelId))
  opening.set(channelId, reading)
  return reading
}

async function readAndOpen(
  { follower, ledger, empty }: ChannelContext,
  config: ChannelConfig,
  channelId: Hex,
): Promise<ChannelAccount> {
  const view = await follower.readChannel(channelId)
  // What was claimed stays in the balance: such a channel has nothing left.
  if (view.depositedAtomic <= view.claimedAtomic) {
    empty.note(channelId, view.blockNumber)
    throw new PaymentError('channel-unknown', 'The channel holds nothing yet.')
  }
  // Vouchers of earlier claims are public, and nobody knows how high they go: each would buy a call again (PA18.8).
  if (view.claimedAtomic > 0n && !ledger.state.retired.has(channelId)) {
    throw new PaymentError('channel-frozen', 'The channel was claimed before it was known here.')
  }
  // A withdrawal in a block that came since was no concern of the ledger's yet: the next reading shows it.
  ledger.apply({ type: 'channel-opened', channelId, config, view })
  follower.watch(channelId, view)
  const account = ledger.state.channels.get(channelId)
  if (account === undefined) throw new Error('a channel could not be opened')
  return account
}
