/** What we ask the chain, each read repeated within a bound: its process may be restarting. */
import { eip3009ABI } from '@x402/evm'
import {
  BaseError,
  ContractFunctionRevertedError,
  ExecutionRevertedError,
  isAddressEqual,
  parseAbi,
  parseEventLogs,
  TransactionReceiptNotFoundError,
  type Hex,
  type PublicClient,
  type TransactionReceipt,
} from 'viem'
import { createChainClients, type ChainSource } from '../chain-nodes/nodes-transport.ts'
import { readOwnAnswers } from '../chain-nodes/own-answers.ts'
import { rangesSince } from '../log-ranges.ts'
import type { Terms } from './offer.ts'
import { createHeadWatcher, type HeadWatcher } from './head-watcher.ts'
import { pause } from './pause.ts'
import type { Authorization } from './presented-payment.ts'

/** Reads of one chain. Each rejects with ChainUnreachable when the bound has passed. */
export type Chain = HeadWatcher & {
  readonly client: PublicClient
  /** Each node by itself, where there are several: what takes credit away is believed from one (PA29.4). */
  readonly ofNodes: readonly PublicClient[]
  /** What enough nodes say, or less where one names less at its own head. */
  least(read: (client: PublicClient) => Promise<bigint>): Promise<bigint>
  /**
   * What decides whether a new payment can be accepted. When the nonce is not used, no settlement of it stands in a
   * block before `blockNumber`.
   */
  readPayer(authorization: Authorization): Promise<{
    readonly balanceAtomic: bigint
    readonly nonceUsed: boolean
    readonly blockNumber: bigint
  }>
  isNonceUsed(authorization: Authorization): Promise<boolean>
  /** The receipt, or undefined while there is none with this many confirmations. */
  findReceipt(hash: Hex, confirmations: number): Promise<TransactionReceipt | undefined>
  /** The same within this time, looked for when there is a new block. Rejects when the process closes. */
  waitForReceipt(
    hash: Hex,
    confirmations: number,
    longestMs: number,
  ): Promise<TransactionReceipt | undefined>
  /** What used this authorization, whoever sent it. */
  findUse(authorization: Authorization, fromBlock: bigint): Promise<AuthorizationUse>
  /** Repeats a read within the bound. */
  retry<T>(read: () => Promise<T>): Promise<T>
}

/** `otherwise`: the nonce was cancelled, or used for a transfer that is not ours. `none`: no event is found. */
export type AuthorizationUse =
  | { readonly kind: 'payment'; readonly transaction: Hex }
  | { readonly kind: 'otherwise' | 'none' }

/** The chain did not answer within the bound. */
export class ChainUnreachable extends Error {
  constructor(options: { cause: unknown }) {
    super('the chain does not answer', options)
    this.name = 'ChainUnreachable'
  }
}

const events = parseAbi([
  'event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)',
  'event Transfer(address indexed from, address indexed to, uint256 value)',
])
const [cancellation] = parseAbi([
  'event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce)',
])
/** The reads may be answered by nodes that do not agree on the newest block. */
const olderBlocks = 16n
const readBoundMs = 5000
const retryAfterMs = 100
/** A receipt is looked for in this interval, new blocks or not. */
const lookMs = 500

/** Reads over HTTP, of one node or of several. `signal` ends all waiting. */
export function createChain(
  terms: Terms,
  source: string | ChainSource,
  signal: AbortSignal,
): Chain {
  const { client, ofNodes } = createChainClients(
    typeof source === 'string'
      ? { urls: [source], agree: 1, onDifference: () => undefined }
      : source,
  )
  const watcher = createHeadWatcher(client, signal)
  const token = { address: terms.asset, abi: eip3009ABI } as const

  async function retry<T>(read: () => Promise<T>): Promise<T> {
    const until = performance.now() + readBoundMs
    for (let tries = 1; ; tries++) {
      try {
        return await read()
      } catch (cause) {
        if (isRevert(cause) || signal.aborted) throw cause
        // Twice at least: when this process stood still itself, its one question says nothing about the chain.
        if (tries > 1 && performance.now() > until) throw new ChainUnreachable({ cause })
      }
      await pause(retryAfterMs, signal)
    }
  }

  async function least(read: (client: PublicClient) => Promise<bigint>): Promise<bigint> {
    if (ofNodes.length === 0) return read(client)
    const head = await client.getBlockNumber({ cacheTime: 0 })
    const [agreed, own] = await Promise.all([read(client), readOwnAnswers(ofNodes, head, read)])
    return own.reduce((low, each) => (each < low ? each : low), agreed)
  }

  const isNonceUsed = ({ from, nonce }: Authorization): Promise<boolean> =>
    client.readContract({ ...token, functionName: 'authorizationState', args: [from, nonce] })

  const receiptOf = (hash: Hex, confirmations: number): Promise<TransactionReceipt | undefined> =>
    retry(() => findReceipt(client, hash, BigInt(confirmations)))

  return {
    ...watcher,
    client,
    ofNodes,
    least,
    retry,
    isNonceUsed: (authorization) => retry(() => isNonceUsed(authorization)),
    readPayer: (authorization) =>
      retry(async () => {
        const [balanceAtomic, nonceUsed, newest] = await Promise.all([
          least((each) =>
            each.readContract({ ...token, functionName: 'balanceOf', args: [authorization.from] }),
          ),
          isNonceUsed(authorization),
          client.getBlockNumber({ cacheTime: 0 }),
        ])
        const blockNumber = newest > olderBlocks ? newest - olderBlocks : 0n
        return { balanceAtomic, nonceUsed, blockNumber }
      }),
    findReceipt: receiptOf,
    waitForReceipt: async (hash, confirmations, longestMs) => {
      const until = performance.now() + longestMs
      while (performance.now() < until) {
        signal.throwIfAborted()
        await watcher.nextBlock(lookMs)
        const receipt = await receiptOf(hash, confirmations)
        if (receipt !== undefined) return receipt
      }
      return undefined
    },
    findUse: (authorization, fromBlock) =>
      findUse({ client, retry }, terms, authorization, fromBlock),
  }
}

/** True when this transaction used the authorization and paid us by it (F7). */
export function isPaidBy(
  terms: Terms,
  { from, to, nonce, valueAtomic }: Authorization,
  receipt: TransactionReceipt,
): boolean {
  if (receipt.status !== 'success') return false
  const logs = parseEventLogs({
    abi: events,
    logs: receipt.logs.filter((log) => isAddressEqual(log.address, terms.asset)),
  })
  // The token emits both events without another between them. Without this condition one transfer could be shown
  // for two authorizations that were used in one transaction.
  return logs.some((used, place) => {
    if (used.eventName !== 'AuthorizationUsed') return false
    const transfer = logs[place + 1]
    return (
      transfer?.eventName === 'Transfer' &&
      transfer.logIndex === used.logIndex + 1 &&
      isAddressEqual(used.args.authorizer, from) &&
      used.args.nonce === nonce &&
      isAddressEqual(transfer.args.from, from) &&
      isAddressEqual(transfer.args.to, to) &&
      transfer.args.value === valueAtomic
    )
  })
}

/** True when the node executed a call and it failed: asking again does not help. */
function isRevert(error: unknown): boolean {
  if (!(error instanceof BaseError)) return false
  const cause = error.walk(
    (inner) =>
      inner instanceof ContractFunctionRevertedError || inner instanceof ExecutionRevertedError,
  )
  return cause !== null
}

async function findReceipt(
  client: PublicClient,
  hash: Hex,
  confirmations: bigint,
): Promise<TransactionReceipt | undefined> {
  try {
    const receipt = await client.getTransactionReceipt({ hash })
    if (confirmations <= 1n) return receipt
    const newest = await client.getBlockNumber({ cacheTime: 0 })
    return newest - receipt.blockNumber + 1n >= confirmations ? receipt : undefined
  } catch (error) {
    if (error instanceof TransactionReceiptNotFoundError) return undefined
    throw error
  }
}

/**
 * A nonce is used while its authorization holds, soon after it was reserved; it may be cancelled at any time. So the first
 * blocks are looked through, and the latest.
 */
async function findUse(
  { client, retry }: Pick<Chain, 'client' | 'retry'>,
  terms: Terms,
  authorization: Authorization,
  fromBlock: bigint,
): Promise<AuthorizationUse> {
  const args = { authorizer: authorization.from, nonce: authorization.nonce }
  const head = await retry(() => client.getBlockNumber({ cacheTime: 0 }))
  for (const range of rangesSince(fromBlock, head)) {
    const asked = { address: terms.asset, args, ...range }
    const [used, cancelled] = await retry(() =>
      Promise.all([
        client.getLogs({ ...asked, event: events[0] }),
        client.getLogs({ ...asked, event: cancellation }),
      ]),
    )
    for (const { transactionHash: transaction } of used) {
      const receipt = await retry(() => client.getTransactionReceipt({ hash: transaction }))
      if (isPaidBy(terms, authorization, receipt)) return { kind: 'payment', transaction }
    }
    // The token takes a nonce once, and a cancelled one never.
    if (used.length + cancelled.length > 0) return { kind: 'otherwise' }
  }
  return { kind: 'none' }
}
