/** Follows the channels on chain: deposits at a depth, everything else at once, reorganisations (spec/payment.md PA21). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { PublicClient } from 'viem'
import { isNews } from '../ledger/channel-account.ts'
import type { ChainView } from '../ledger/channel-event.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'
import { readBlockLogs, readSlot, type BlockLogs } from './batch-contract.ts'

/** Reads of the chain, in order. */
export type Follower = {
  /** Reads what is new and tells the ledger. Rejects when the chain does not answer; the next call goes on. */
  poll(): Promise<void>
  /** One channel, for the first time. */
  readChannel(channelId: Hex): Promise<ChainView>
  /** When the chain was last read to its end, by the clock. */
  lastReadAtMs(): number
}

/** Whom to follow. */
export type FollowerOptions = {
  readonly client: PublicClient
  readonly contract: Hex
  /** A deposit counts when its block is the `depth`th from the end; 1 is the newest. */
  readonly depth: number
  readonly ledger: Pick<DurableLedger, 'state' | 'apply'>
  readonly clock: () => number
}

type Block = BlockLogs & { readonly number: bigint; readonly hash: Hex; readonly parentHash: Hex }

/** Blocks behind the depth that are remembered: a reorganisation within them costs no full reading. */
const rememberedBlocks = 64

/** A follower that has read nothing yet. */
export function createFollower(options: FollowerOptions): Follower {
  const { clock } = options
  // Both owned by `poll`, which runs once at a time.
  let blocks: readonly Block[] = []
  let lastReadAtMs = -Infinity
  let polling: Promise<void> | undefined

  async function readOn(): Promise<void> {
    const found = await findNewBlocks(options, blocks)
    const startedAtMs = clock()
    if (found !== undefined) {
      // Remembered before the channels are read: what fails now is dirty again by `pending`.
      const next = [...found.kept, ...found.fresh].slice(-(rememberedBlocks + options.depth))
      for (const channelId of dirtyChannels(options, found)) {
        await see(options, next, channelId)
      }
      blocks = next
    }
    lastReadAtMs = startedAtMs
  }

  const poll = (): Promise<void> => {
    polling ??= readOn().finally(() => {
      polling = undefined
    })
    return polling
  }
  return {
    poll,
    lastReadAtMs: () => lastReadAtMs,
    readChannel: async (channelId) => {
      await poll()
      return readView(options, blocks, channelId)
    },
  }
}

type NewBlocks = {
  readonly kept: readonly Block[]
  readonly fresh: readonly Block[]
  readonly orphaned: readonly Block[]
  /** The remembered blocks do not lead to the new ones: anything may have happened. */
  readonly isGap: boolean
}

async function findNewBlocks(
  { client, contract, depth }: FollowerOptions,
  blocks: readonly Block[],
): Promise<NewBlocks | undefined> {
  const head = await client.getBlock({ blockTag: 'latest' })
  if (head.hash === blocks.at(-1)?.hash) return undefined
  const limit = blocks.length === 0 ? depth : rememberedBlocks
  const fresh: Block[] = []
  let block: Pick<Block, 'number' | 'hash' | 'parentHash'> = head
  for (;;) {
    fresh.unshift({ ...(await readBlockLogs(client, contract, block.hash)), ...pickBlock(block) })
    const { parentHash } = block
    const parent = blocks.findIndex((each) => each.hash === parentHash)
    if (parent !== -1) {
      const kept = blocks.slice(0, parent + 1)
      return { kept, fresh, orphaned: blocks.slice(parent + 1), isGap: false }
    }
    if (block.number === 0n || fresh.length >= limit) {
      return { kept: [], fresh, orphaned: blocks, isGap: true }
    }
    block = await client.getBlock({ blockHash: parentHash })
  }
}

function pickBlock({
  number,
  hash,
  parentHash,
}: Pick<Block, 'number' | 'hash' | 'parentHash'>): Pick<Block, 'number' | 'hash' | 'parentHash'> {
  return { number, hash, parentHash }
}

/** Known channels whose view may have changed: touched, untouched again, or by a deposit or refund that came of age. */
function dirtyChannels(
  { ledger, depth }: FollowerOptions,
  { kept, fresh, orphaned, isGap }: NewBlocks,
): readonly Hex[] {
  const { channels } = ledger.state
  if (isGap) return [...channels.keys()]
  const aging = [...kept, ...fresh].slice(-(depth + fresh.length + orphaned.length))
  const dirty = new Set<Hex>()
  for (const block of [...fresh, ...orphaned]) for (const id of block.touched) dirty.add(id)
  for (const block of aging) for (const { channelId } of block.deposits) dirty.add(channelId)
  // A refund that found nothing left to pay uses its nonce up without an event.
  for (const { channelId, refunding } of channels.values()) {
    if (refunding !== undefined) dirty.add(channelId)
  }
  return [...dirty].filter((id) => channels.has(id))
}

async function see(
  options: FollowerOptions,
  blocks: readonly Block[],
  channelId: Hex,
): Promise<void> {
  const view = await readView(options, blocks, channelId)
  const account = options.ledger.state.channels.get(channelId)
  if (account === undefined || !isNews(account, view)) return
  options.ledger.apply({ type: 'channel-seen', channelId, view })
}

/** The newest slot, without the deposits that are too young. */
async function readView(
  { client, contract, depth }: FollowerOptions,
  blocks: readonly Block[],
  channelId: Hex,
): Promise<ChainView> {
  const head = blocks.at(-1)
  if (head === undefined) throw new Error('the chain was not read yet')
  const { balanceAtomic, ...slot } = await readSlot(client, contract, channelId, head.number)
  const oldEnough = head.number - BigInt(depth) + 1n
  let youngAtomic = 0n
  for (const block of blocks) {
    if (block.number <= oldEnough) continue
    for (const deposit of block.deposits) {
      if (deposit.channelId === channelId) youngAtomic += deposit.amountAtomic
    }
  }
  // A young deposit may have been refunded or withdrawn already.
  const depositedAtomic = balanceAtomic > youngAtomic ? balanceAtomic - youngAtomic : 0n
  const finalBlockNumber = oldEnough > 0n ? oldEnough : 0n
  return { ...slot, depositedAtomic, blockNumber: head.number, finalBlockNumber }
}
