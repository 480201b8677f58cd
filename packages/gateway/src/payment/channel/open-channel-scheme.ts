/** Puts together what `batch-settlement` needs of this process: ledger, chain, key, contract. */
import { createBatchDomain } from '@countersign/protocol/payment/channel'
import type { ChannelTerms } from '@countersign/protocol/payment/channel-payload'
import type { EvmSignature } from '@countersign/protocol/payment/evm-signature'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import { createReceiveHasher } from '@countersign/protocol/payment/token-authorization'
import type { ReadBudget } from '../../limits/read-budget.ts'
import { loadEvmCurve, type EvmCurve } from '../evm-curve.ts'
import { createChain, type Chain } from '../exact/chain.ts'
import { createTerms } from '../exact/offer.ts'
import { createSender, createSettlementAccount, type Sender } from '../exact/sender.ts'
import { openDurableLedger, type DurableLedger } from '../ledger/durable-ledger.ts'
import { isDepositUsed } from './batch-contract.ts'
import { createTurns, type ChannelContext } from './channel-context.ts'
import { createChannelManager, type ChannelManager } from './channel-manager.ts'
import type { ClaimPolicy } from './claims.ts'
import { createEmptyChannels } from './empty-channels.ts'
import { createFollower } from './follower.ts'
import { createAuthorizerCheck } from './settlement-key.ts'
import { createTransactionBook } from './transaction-book.ts'

/** How channels are kept. */
export type ChannelSchemeOptions = {
  readonly terms: ChannelTerms
  readonly batchContract: string
  readonly permit2: string
  readonly rpcUrl: string
  /** 0x and 64 hex digits: sends transactions and signs for the receiver authorizer. No other process may use it. */
  readonly settlementKey: string
  readonly directory: string
  /** From which depth on deposits count, and receipts are believed. */
  readonly depth: number
  readonly claimPolicy: ClaimPolicy
  readonly depositTimeoutMs: number
  /** How often the chain is asked for payers who have shown no money; always, when absent. */
  readonly reads?: ReadBudget
  readonly clock: () => number
  /** Must end the process. */
  readonly onDiskFault: (error: unknown) => void
}

/** A scheme that runs. */
export type ChannelScheme = {
  readonly context: ChannelContext
  readonly manager: ChannelManager
  /** Ends all waiting and closes the ledger; what is unfinished is left as recovery finds it. */
  close(): Promise<void>
}

/**
 * Opens the ledger and connects it to the chain. Nothing is read from the chain yet: call `manager.step`.
 *
 * @throws RangeError for terms that are none, DatabaseFault or JournalDamaged for a ledger that cannot be opened.
 */
export async function openChannelScheme(options: ChannelSchemeOptions): Promise<ChannelScheme> {
  const { terms, clock } = options
  const ending = new AbortController()
  const { signal } = ending
  const curve = await loadEvmCurve()
  const account = createSettlementAccount(options.settlementKey, curve)
  const privateKey = Buffer.from(options.settlementKey.slice(2), 'hex')
  const chain = createChain(createTerms({ ...terms, resourceBaseUrl: '' }), options.rpcUrl, signal)
  const { directory, onDiskFault: onFault } = options
  const ledger = await openDurableLedger({ directory, clock, onFault })
  const sender = createSender({
    chain,
    chainId: +`${terms.chainId}`,
    account,
    ledger: createTransactionBook(ledger),
    signal,
  })
  const { address } = account
  const sign = (digest: Uint8Array): EvmSignature => curve.sign(digest, privateKey)
  const parts = { chain, ledger, sender, curve, address, sign, isRetiring: () => false, signal }
  const context = createChannelContext(options, parts)
  const manager = createChannelManager(context)
  return {
    context,
    manager,
    close: async () => {
      ending.abort()
      await manager.stopped()
      await ledger.close()
    },
  }
}

/** What a scheme may share with others of the same key. */
export type ChannelParts = {
  readonly chain: Chain
  readonly ledger: DurableLedger
  readonly sender: Sender
  readonly curve: EvmCurve
  /** Whose transactions these are. */
  readonly address: Hex
  /** Signs for the receiver authorizer. */
  readonly sign: (digest: Uint8Array) => EvmSignature
  /** The key ends soon and no other one follows: everything is claimed while it can be. */
  readonly isRetiring: () => boolean
  readonly signal: AbortSignal
}

/** Connects a scheme to its parts. @throws RangeError for terms that are none. */
export function createChannelContext(
  options: Omit<ChannelSchemeOptions, 'rpcUrl' | 'settlementKey' | 'directory' | 'onDiskFault'>,
  { chain, ledger, sender, curve, address, sign, isRetiring, signal }: ChannelParts,
): ChannelContext {
  const { terms, clock, depth, claimPolicy, depositTimeoutMs } = options
  const contract = toHexAddress(options.batchContract)
  const contracts = { token: toHexAddress(terms.asset), permit2: toHexAddress(options.permit2) }
  const follower = createFollower({
    client: chain.client,
    ofNodes: chain.ofNodes,
    contract,
    depth,
    ledger,
    clock,
  })
  return {
    terms,
    contract,
    curve,
    ledger,
    sender,
    clock,
    signal,
    domain: createBatchDomain(terms.chainId, contract, curve.keccak256),
    permit2Domain: createPermit2Domain(terms.chainId, toHexAddress(options.permit2)),
    hashReceive: createReceiveHasher({
      name: terms.assetName,
      version: terms.assetVersion,
      chainId: terms.chainId,
      verifyingContract: toHexAddress(terms.asset),
    }),
    follower,
    reads: options.reads,
    empty: createEmptyChannels(follower, clock),
    sign,
    isRetiring,
    isAuthorized: createAuthorizerCheck(
      chain.client,
      curve,
      toHexAddress(terms.receiverAuthorizer),
    ),
    simulate: (call) => chain.client.call({ account: address, ...call }),
    findReceipt: (hash) => chain.findReceipt(hash, depth),
    isDepositUsed: (payer, deposit) =>
      chain.retry(() => isDepositUsed(chain.client, contracts, payer, deposit)),
    claimPolicy,
    depositTimeoutMs,
    inTurn: createTurns(),
    opening: new Map(),
    depositing: new Map(),
    reverted: new Map(),
  }
}

function toHexAddress(text: string): Hex {
  const address = parseAddress(text)
  if (address === undefined) throw new RangeError('not an address')
  return address
}
