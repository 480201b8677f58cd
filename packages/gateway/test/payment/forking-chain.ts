/** A chain of blocks that can be taken back: as much of JSON-RPC as a follower of channels uses. */
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import {
  createPublicClient,
  custom,
  decodeFunctionData,
  encodeAbiParameters,
  encodeEventTopics,
  encodeFunctionResult,
  keccak256,
  numberToHex,
  RpcRequestError,
  toHex,
  type Hex,
  type PublicClient,
} from 'viem'

/** A channel in one block. */
export type ForkSlot = {
  readonly balanceAtomic: bigint
  readonly claimedAtomic: bigint
  readonly withdrawingAtomic: bigint
  readonly refundNonce: bigint
}

/** What a block does to a channel. */
export type ForkChange =
  | {
      readonly kind: 'deposit' | 'claim' | 'withdraw' | 'silent-refund'
      readonly channelId: Hex
      readonly amount: bigint
    }
  | { readonly kind: 'refund'; readonly channelId: Hex; readonly amount: bigint }

type Block = {
  readonly number: number
  readonly hash: Hex
  readonly parentHash: Hex
  readonly slots: ReadonlyMap<Hex, ForkSlot>
  readonly changes: readonly ForkChange[]
}

const empty: ForkSlot = {
  balanceAtomic: 0n,
  claimedAtomic: 0n,
  withdrawingAtomic: 0n,
  refundNonce: 0n,
}
const address: Hex = `0x${'44'.repeat(20)}`
const word: Hex = `0x${'00'.repeat(32)}`

/** A chain with one empty block. */
export class ForkingChain {
  readonly client: PublicClient
  readonly contract: Hex = address
  /** Makes the next so many requests fail. */
  failures = 0
  requests = 0
  /** Answers calls as of a number: a node of the same address that follows another fork. */
  elsewhere: ForkingChain | undefined
  /** As of a hash nothing is called. */
  refusesHashes = false
  #blocks: Block[] = [
    { number: 0, hash: keccak256('0x00'), parentHash: word, slots: new Map(), changes: [] },
  ]
  #forks = 0

  constructor() {
    const transport = custom(
      { request: ({ method, params }) => this.#answer(method, params) },
      { retryCount: 0 },
    )
    this.client = createPublicClient({ transport, cacheTime: 0 })
  }

  get height(): number {
    return this.#head().number
  }

  slotOf(channelId: Hex): ForkSlot {
    return this.#head().slots.get(channelId) ?? empty
  }

  /** What deposits of this channel stand in blocks that are younger than `depth`. */
  youngDeposits(channelId: Hex, depth: number): bigint {
    return this.#blocks
      .slice(-(depth - 1) || this.#blocks.length)
      .flatMap(({ changes }) => changes)
      .filter((change) => change.kind === 'deposit' && change.channelId === channelId)
      .reduce((sum, { amount }) => sum + amount, 0n)
  }

  mine(changes: readonly ForkChange[]): void {
    const parent = this.#head()
    const slots = new Map(parent.slots)
    for (const change of changes) {
      slots.set(change.channelId, applyChange(slots.get(change.channelId) ?? empty, change))
    }
    const number = parent.number + 1
    const hash = keccak256(toHex(`${parent.hash} ${number} ${this.#forks}`))
    this.#blocks.push({ number, hash, parentHash: parent.hash, slots, changes })
  }

  /** Takes the newest blocks back. */
  reorganise(depth: number): void {
    this.#forks++
    this.#blocks.splice(Math.max(1, this.#blocks.length - depth))
  }

  #head(): Block {
    const head = this.#blocks.at(-1)
    if (head === undefined) throw new Error('no block')
    return head
  }

  async #answer(method: string, params: readonly unknown[]): Promise<unknown> {
    this.requests++
    if (this.failures > 0) {
      this.failures--
      throw new Error('the node is away')
    }
    await Promise.resolve()
    if (method === 'eth_blockNumber') return numberToHex(this.height)
    if (method === 'eth_getBlockByNumber') return toRpcBlock(this.#head())
    if (method === 'eth_getBlockByHash') {
      const block = this.#blocks.find(({ hash }) => hash === params[0])
      return block === undefined ? null : toRpcBlock(block)
    }
    if (method === 'eth_getLogs') {
      const { blockHash, fromBlock } = Object(params[0])
      const blocks = this.#blocks.filter(({ hash, number }) =>
        blockHash === undefined ? BigInt(number) >= BigInt(fromBlock) : hash === blockHash,
      )
      if (blocks.length === 0) throw new Error('unknown block')
      return blocks.flatMap((block) =>
        block.changes.flatMap((change, index) =>
          change.kind === 'silent-refund' ? [] : [toRpcLog(block, change, change.kind, index)],
        ),
      )
    }
    if (method === 'eth_call') return this.#call(Object(params[0]).data, params[1])
    throw new Error(`not answered: ${method}`)
  }

  #find(at: unknown): Block | undefined {
    if (at === 'latest') return this.#head()
    const { blockHash } = Object(at)
    return this.#blocks.find(({ number, hash }) =>
      blockHash === undefined ? numberToHex(number) === at : hash === blockHash,
    )
  }

  #call(data: Hex, at: unknown): Hex {
    if (typeof at !== 'string' && this.refusesHashes) {
      const error = { code: -32_602, message: 'invalid block' }
      throw new RpcRequestError({ body: {}, url: '', error })
    }
    const asked = typeof at === 'string' ? (this.elsewhere ?? this) : this
    const block = asked.#find(at)
    if (block === undefined) throw new Error('BlockOutOfRange')
    const { functionName, args } = decodeFunctionData({ abi: batchSettlementAbi, data })
    const slot = [...block.slots].find(([id]) => id === args?.[0])?.[1] ?? empty
    const result = { abi: batchSettlementAbi } as const
    if (functionName === 'channels') {
      const channel = [slot.balanceAtomic, slot.claimedAtomic] as const
      return encodeFunctionResult({ ...result, functionName, result: channel })
    }
    if (functionName === 'pendingWithdrawals') {
      const withdrawal = [slot.withdrawingAtomic, 0] as const
      return encodeFunctionResult({ ...result, functionName, result: withdrawal })
    }
    if (functionName === 'refundNonce') {
      return encodeFunctionResult({ ...result, functionName, result: slot.refundNonce })
    }
    throw new Error(`not answered: ${functionName}`)
  }
}

function applyChange(slot: ForkSlot, { kind, amount }: ForkChange): ForkSlot {
  const free = slot.balanceAtomic - slot.claimedAtomic
  const taken = amount < free ? amount : free
  switch (kind) {
    case 'deposit':
      return { ...slot, balanceAtomic: slot.balanceAtomic + amount }
    case 'claim':
      return { ...slot, claimedAtomic: slot.claimedAtomic + taken }
    case 'withdraw':
      return { ...slot, withdrawingAtomic: taken }
    case 'silent-refund':
      return { ...slot, refundNonce: slot.refundNonce + 1n }
    case 'refund':
      return {
        ...slot,
        balanceAtomic: slot.balanceAtomic - taken,
        refundNonce: slot.refundNonce + 1n,
      }
  }
}

/** Its height is its time. */
function toRpcBlock({ number, hash, parentHash }: Block): object {
  const timestamp = numberToHex(number)
  return { number: numberToHex(number), hash, parentHash, timestamp, transactions: [] }
}

function toRpcLog(
  { number, hash }: Block,
  change: ForkChange,
  kind: Exclude<ForkChange['kind'], 'silent-refund'>,
  index: number,
): object {
  const { channelId, amount } = change
  const abi = batchSettlementAbi
  const one = encodeAbiParameters([{ type: 'uint128' }], [amount])
  const two = encodeAbiParameters([{ type: 'uint128' }, { type: 'uint128' }], [amount, amount])
  const named = {
    deposit: {
      topics: encodeEventTopics({
        abi,
        eventName: 'Deposited',
        args: { channelId, sender: address },
      }),
      data: two,
    },
    claim: {
      topics: encodeEventTopics({
        abi,
        eventName: 'Claimed',
        args: { channelId, sender: address },
      }),
      data: two,
    },
    refund: {
      topics: encodeEventTopics({
        abi,
        eventName: 'Refunded',
        args: { channelId, sender: address },
      }),
      data: one,
    },
    withdraw: {
      topics: encodeEventTopics({ abi, eventName: 'WithdrawInitiated', args: { channelId } }),
      data: two,
    },
  }[kind]
  return {
    ...named,
    address,
    blockHash: hash,
    blockNumber: numberToHex(number),
    logIndex: numberToHex(index),
    transactionHash: word,
    transactionIndex: '0x0',
    removed: false,
  }
}
