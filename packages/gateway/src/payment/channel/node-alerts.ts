/** Money that leaves a channel by the word of a single node (spec/payment.md PA29.4). */
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { parseEventLogs, type PublicClient } from 'viem'
import { readOwnAnswers } from '../chain-nodes/own-answers.ts'
import { readSlot, type ChannelSlot } from './batch-contract.ts'

/** Whom to ask, and about what. */
export type AlertOptions = {
  readonly ofNodes: readonly PublicClient[]
  readonly contract: Hex
}

const eventName = ['WithdrawInitiated', 'WithdrawFinalized', 'Refunded'] as const
/** Also of blocks that enough nodes agree on: one of the others may know better. */
const blocksBack = 7n

/** Channels that lost something in the newest blocks of any node. */
export async function readAlerts(
  { ofNodes, contract: address }: AlertOptions,
  agreedHead: bigint,
): Promise<readonly Hex[]> {
  const fromBlock = agreedHead > blocksBack ? agreedHead - blocksBack : 0n
  const found = await readOwnAnswers(ofNodes, agreedHead, async (client) =>
    parseEventLogs({
      abi: batchSettlementAbi,
      logs: await client.getLogs({ address, fromBlock, toBlock: 'latest' }),
      eventName: [...eventName],
    }),
  )
  const ids = found.flat().map(({ args }): Hex => `0x${args.channelId.slice(2).toLowerCase()}`)
  return [...new Set(ids)]
}

/** The channel as the node has it that leaves it least. `isLess`: one of them differs. */
export async function lessen(
  { ofNodes, contract }: AlertOptions,
  agreedHead: bigint,
  channelId: Hex,
  agreed: ChannelSlot,
): Promise<{ readonly slot: ChannelSlot; readonly isLess: boolean }> {
  const own = await readOwnAnswers(ofNodes, agreedHead, (client) =>
    readSlot(client, contract, channelId),
  )
  let { withdrawingAtomic, withdrawRequestedAtSeconds, balanceAtomic } = agreed
  for (const each of own) {
    if (each.withdrawingAtomic > withdrawingAtomic) {
      ;({ withdrawingAtomic, withdrawRequestedAtSeconds } = each)
    }
    if (each.balanceAtomic < balanceAtomic) ({ balanceAtomic } = each)
  }
  // What was claimed stays in the balance, whoever says otherwise.
  if (balanceAtomic < agreed.claimedAtomic) balanceAtomic = agreed.claimedAtomic
  const isLess =
    withdrawingAtomic > agreed.withdrawingAtomic || balanceAtomic < agreed.balanceAtomic
  const slot = { ...agreed, withdrawingAtomic, withdrawRequestedAtSeconds, balanceAtomic }
  return { slot, isLess }
}
