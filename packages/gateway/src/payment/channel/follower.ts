/** Follows the channels on chain: deposits at a depth, everything else at once, reorganisations (spec/payment.md PA21). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { BaseError, RpcRequestError, type PublicClient } from 'viem'
import { isNews } from '../ledger/channel-account.ts'
import type { ChainView } from '../ledger/channel-event.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'
import { readBlockLogs, readSlot, type BlockLogs } from './batch-contract.ts'
import { lessen, readAlerts } from './node-alerts.ts'

/** Reads of the chain, in order. */
export type Follower = {
  /** Reads what is new and tells the ledger. Rejects when the chain does not answer; the next call goes on. */
  poll(): Promise<void>
  /** The newest block that was read; -1 before. */
  headNumber(): bigint
  /** Its hash: two with one number differ. */
  headHash(): Hex | undefined
  /** One channel, for the first time. Call `watch` in the same turn as the ledger gets to know it. */
  readChannel(channelId: Hex): Promise<ChainView>
  /**
   * The next reading reads this channel: a block may have come while it was being opened. With the view that
   * `readChannel` gave it is spared where the blocks since then are remembered and say nothing of the channel.
   */
  watch(channelId: Hex, view?: ChainView): void
  /**
   * Up to when the chain is known, by the clock: when it was last read to its end, and no later than the time of its
   * newest block. A node that stands still answers, too.
   */
  lastReadAtMs(): number
}

/** Whom to follow. */
export type FollowerOptions = {
  readonly client: PublicClient
  /** Each node by itself, where there are several. */
  readonly ofNodes?: readonly PublicClient[]
  readonly contract: Hex
  /** A deposit counts when its block is the `depth`th from the end; 1 is the newest. */
  readonly depth: number
  readonly ledger: Pick<DurableLedger, 'state' | 'apply'>
  readonly clock: () => number
}

type Header = {
  readonly number: bigint
  readonly hash: Hex
  readonly parentHash: Hex
  readonly timestamp: bigint
}
type Block = BlockLogs & Header

/** Blocks behind the depth that are remembered: a reorganisation within them costs no full reading. */
const rememberedBlocks = 64

/** A follower that has read nothing yet. */
export function createFollower(options: FollowerOptions): Follower {
  const { clock } = options
  // All owned by `readOn`, which runs once at a time; `watch` adds to the last.
  let blocks: readonly Block[] = []
  let lastReadAtMs = -Infinity
  let polling: Promise<void> | undefined
  const watched = new Map<Hex, ChainView | undefined>()
  // The block at whose end a channel was read for the first time.
  const readAt = new WeakMap<ChainView, Hex>()
  // Channels of which one node says less than enough others.
  let alerted: ReadonlySet<Hex> = new Set()

  async function readOn(): Promise<void> {
    const startedAtMs = clock()
    const opened = [...watched]
    const hasChanged = ([id, view]: (typeof opened)[number]): boolean => {
      const hash = view === undefined ? undefined : readAt.get(view)
      return hash === undefined || mayHaveChanged(options, next, hash, id)
    }
    const found = await findNewBlocks(options, blocks)
    const next =
      found === undefined
        ? blocks
        : [...found.kept, ...found.fresh].slice(-(rememberedBlocks + options.depth))
    const dirty = found === undefined ? [] : dirtyChannels(options, found)
    const alerts = await findAlerts(options, next)
    // What fails now is read by the next poll: neither the blocks nor the watched channels are forgotten.
    const less = new Set<Hex>()
    const changed = opened.filter(hasChanged).map(([channelId]) => channelId)
    for (const channelId of new Set([...dirty, ...changed, ...alerts, ...alerted])) {
      if (await see(options, next, channelId)) less.add(channelId)
    }
    alerted = less
    blocks = next
    // One that was asked for again meanwhile waits for the next reading.
    for (const [id, view] of opened) if (watched.get(id) === view) watched.delete(id)
    lastReadAtMs = Math.min(startedAtMs, +`${(next.at(-1)?.timestamp ?? 0n) * 1000n}`)
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
    headNumber: () => blocks.at(-1)?.number ?? -1n,
    headHash: () => blocks.at(-1)?.hash,
    watch: (channelId, view) => {
      watched.set(channelId, view)
    },
    readChannel: async (channelId) => {
      await poll()
      const read = blocks
      const exact = await readExactly(options, read, channelId)
      const hash = read.at(-1)?.hash
      if (exact === undefined || hash === undefined) {
        return (await readView(options, read, channelId)).view
      }
      readAt.set(exact, hash)
      return exact
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
  // Deposits in blocks that are not read are taken for old enough.
  const limit = blocks.length === 0 ? depth : Math.max(depth, rememberedBlocks)
  const fresh: Block[] = []
  let block: Header = head
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

function pickBlock({ number, hash, parentHash, timestamp }: Header): Header {
  return { number, hash, parentHash, timestamp }
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

/**
 * Whether a channel can have changed since it was read at this block: what holds for channels that were known all the
 * time, by the same blocks. Where nodes are compared it is always read.
 */
function mayHaveChanged(
  { depth, ofNodes = [] }: FollowerOptions,
  blocks: readonly Block[],
  readAt: Hex,
  channelId: Hex,
): boolean {
  const place = blocks.findIndex(({ hash }) => hash === readAt)
  if (place === -1 || ofNodes.length > 0) return true
  const isTouched = blocks.slice(place + 1).some(({ touched }) => touched.has(channelId))
  // A deposit that was too young then may have come of age.
  const young = blocks.slice(Math.max(0, place + 2 - depth))
  const isOfAge = young.some(({ deposits }) =>
    deposits.some((each) => each.channelId === channelId),
  )
  return isTouched || (place < blocks.length - 1 && isOfAge)
}

/** Known channels that any node shows a loss of; none where there is one node. */
async function findAlerts(
  { ledger, ofNodes = [], contract }: FollowerOptions,
  blocks: readonly Block[],
): Promise<readonly Hex[]> {
  const head = blocks.at(-1)
  if (head === undefined || ofNodes.length === 0) return []
  const alerts = await readAlerts({ ofNodes, contract }, head.number)
  return alerts.filter((id) => ledger.state.channels.has(id))
}

/** Whether one node says less than enough others: then it is looked at again. */
async function see(
  options: FollowerOptions,
  blocks: readonly Block[],
  channelId: Hex,
): Promise<boolean> {
  const { view, isLess } = await readView(options, blocks, channelId)
  const account = options.ledger.state.channels.get(channelId)
  if (account === undefined) return false
  if (isNews(account, view)) options.ledger.apply({ type: 'channel-seen', channelId, view })
  return isLess
}

/**
 * As of the newest block by its hash: of a number a node that follows another fork says something else. `undefined` where
 * nodes are compared, and of a node that knows no such question, or not this block.
 */
async function readExactly(
  options: FollowerOptions,
  blocks: readonly Block[],
  channelId: Hex,
): Promise<ChainView | undefined> {
  if ((options.ofNodes ?? []).length > 0) return undefined
  try {
    return (await readView(options, blocks, channelId, true)).view
  } catch (error) {
    if (!(error instanceof BaseError)) throw error
    if (error.walk((inner) => inner instanceof RpcRequestError) === null) throw error
    return undefined
  }
}

type SeenView = { readonly view: ChainView; readonly isLess: boolean }

/** The newest slot, without the deposits that are too young. */
async function readView(
  { client, ofNodes = [], contract, depth }: FollowerOptions,
  blocks: readonly Block[],
  channelId: Hex,
  byHash = false,
): Promise<SeenView> {
  const head = blocks.at(-1)
  if (head === undefined) throw new Error('the chain was not read yet')
  const agreed = await readSlot(client, contract, channelId, byHash ? head.hash : head.number)
  const { slot: least, isLess } =
    ofNodes.length === 0
      ? { slot: agreed, isLess: false }
      : await lessen({ ofNodes, contract }, head.number, channelId, agreed)
  const { balanceAtomic, ...slot } = least
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
  const view = { ...slot, depositedAtomic, blockNumber: head.number, finalBlockNumber }
  return { view, isLess }
}
