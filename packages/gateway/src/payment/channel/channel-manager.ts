/** The receiving side of all channels: follows them, claims in time, ends what it sent (spec/payment.md PA21). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { parseAddress } from '@countersign/protocol/payment/evm-word'
import { pause } from '../exact/pause.ts'
import { retireChannel } from '../ledger/channel-account.ts'
import { encodeSettle } from './batch-contract.ts'
import { applyOwn, type ChannelContext } from './channel-context.ts'
import { selectClaims, sendClaims } from './claims.ts'
import { reexamineChannel, type Reexamination } from './reexamine-channel.ts'
import { resendRefunds } from './refund.ts'
import { sendJournaled } from './transaction-book.ts'

/** Work on chain, done one step after the other. */
export type ChannelManager = {
  /** Reads the chain, ends transactions that it decided, claims what is due. Rejects when the chain does not answer. */
  step(): Promise<void>
  /** Claims everything that is charged: before the settlement key retires. */
  claimAll(): Promise<readonly Hex[]>
  /** Has the contract pay the receiver what was claimed. */
  settle(): Promise<Hex>
  /** For the operator: looks again at a channel that is frozen, and thaws it when nothing is wrong with it any more. */
  reexamine(channelId: Hex): Promise<Reexamination>
  /** Resolves when no step is running. */
  stopped(): Promise<void>
  /** Steps until the signal of the context is aborted; a failed step is told and tried again. */
  run(intervalMs: number, onFault: (error: unknown) => void): Promise<void>
}

const gasOfSettle = 150_000n

/** The manager of one scheme. Its steps never run at the same time. */
export function createChannelManager(context: ChannelContext): ChannelManager {
  const { ledger, follower, terms, contract: to, claimPolicy, clock, signal, inTurn } = context
  const select = (all: boolean): ReturnType<typeof selectClaims> =>
    selectClaims(ledger.state, claimPolicy, clock(), all)

  async function step(): Promise<void> {
    // In this order: what a receipt shows, the reading after it shows too.
    await endTransactions(context)
    await follower.poll()
    retireChannels(context)
    const [fault, ...others] = await resendRefunds(context)
    await sendClaims(context, select(context.isRetiring()))
    if (others.length > 0) throw new AggregateError([fault, ...others], 'refunds were not sent')
    if (fault !== undefined) throw fault
  }

  return {
    step: () => inTurn(step),
    claimAll: () => inTurn(() => sendClaims(context, select(true))),
    settle: () =>
      inTurn(async () => {
        const receiver = parseAddress(terms.payTo)
        const token = parseAddress(terms.asset)
        if (receiver === undefined || token === undefined) throw new RangeError('no address')
        const data = encodeSettle(receiver, token)
        return sendJournaled(context, { to, data, gas: gasOfSettle }, { kind: 'settle' }, [])
      }),
    reexamine: (channelId) => inTurn(() => reexamineChannel(context, channelId)),
    stopped: () => inTurn(async () => undefined),
    run: async (intervalMs, onFault) => {
      while (!signal.aborted) {
        try {
          await inTurn(step)
        } catch (error) {
          onFault(error)
        }
        try {
          await pause(intervalMs, signal)
        } catch {
          // Only the signal ends a pause.
        }
      }
    },
  }
}

/** Blocks after which nobody expects a reorganisation to bring money back. */
const retireAfterBlocks = 128n

/** Channels without money leave the records: opening one costs its payer next to nothing. */
function retireChannels({ ledger, follower }: ChannelContext): void {
  const before = follower.headNumber() - retireAfterBlocks
  for (const account of ledger.state.channels.values()) {
    if (account.view.blockNumber > before || retireChannel(account) === undefined) continue
    applyOwn(ledger, { type: 'channel-retired', channelId: account.channelId })
  }
}

/**
 * A transaction whose receipt is deep enough, or whose nonce another one took, is over. What it was to bring about is
 * judged by what the chain shows of the channel, never by the receipt.
 */
async function endTransactions({ ledger, sender, findReceipt }: ChannelContext): Promise<void> {
  for (const { hash, purpose } of ledger.state.transactions.values()) {
    // Those are judged by their owner, who shares this ledger.
    if (purpose.kind === 'upto' || purpose.kind === 'collect') continue
    const isOver = (await findReceipt(hash)) !== undefined || (await sender.isReplaced(hash))
    if (isOver) ledger.apply({ type: 'transaction-ended', hash })
  }
  // What the chain lost is sent again, the same bytes.
  if (ledger.state.transactions.size > 0) await sender.repair()
}
