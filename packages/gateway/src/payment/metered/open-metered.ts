/** Opens `upto` and `batch-settlement` over one ledger, one chain and one settlement key. */
import { join } from 'node:path'
import { x402On, type X402Deployment } from '@countersign/contracts/addresses'
import type { ChannelTerms } from '@countersign/protocol/payment/channel-payload'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import { createUptoChargeHasher } from '@countersign/protocol/payment/upto-charge'
import type { UptoTerms } from '@countersign/protocol/payment/upto-payload'
import { getAddress } from 'viem'
import { ConfigError } from '../../config/load-config.ts'
import type { Config } from '../../config/schema.ts'
import { openAnnouncedOperator, type AnnouncedOperator } from '../announced-operator.ts'
import type { ChannelContext } from '../channel/channel-context.ts'
import { createChannelManager, type ChannelManager } from '../channel/channel-manager.ts'
import { createChannelContext } from '../channel/open-channel-scheme.ts'
import { createTransactionBook } from '../channel/transaction-book.ts'
import { createChargeKeys, type ChargeKeys } from '../charge-key/charge-keys.ts'
import { createKeyRecordReader } from '../charge-key/read-key-records.ts'
import type { Collector } from '../collect/collector.ts'
import { openCollector, type CollectHooks } from '../collect/open-collector.ts'
import { loadEvmCurve, type EvmCurve } from '../evm-curve.ts'
import type { ReadBudget } from '../../limits/read-budget.ts'
import type { OnDifference } from '../chain-nodes/agreement.ts'
import { createChainTerms } from '../chain-nodes/chain-terms.ts'
import { createChain, type Chain } from '../exact/chain.ts'
import { createTerms } from '../exact/offer.ts'
import { createSettlementAccount } from '../exact/sender.ts'
import { createSharedSender, type SharedSender } from '../exact/shared-sender.ts'
import { openDurableLedger, type DurableLedger } from '../ledger/durable-ledger.ts'
import type { UptoContext } from '../upto/admit-upto-payment.ts'
import { createSettlementWatch } from '../settlement-watch.ts'
import { createUptoUseFinder } from '../upto/find-use.ts'
import { takeUpSettled } from '../upto/follow-upto.ts'
import { createFundsReader } from './read-funds.ts'
import { startUptoLoop, type UptoLoop } from './upto-loop.ts'

type PaidConfig = Exclude<Config['payment'], 'none'>
type UptoConfig = NonNullable<PaidConfig['upto']>
type BatchConfig = NonNullable<PaidConfig['batchSettlement']>

/** What the schemes need of the process. */
export type MeteredSurroundings = {
  readonly clock: () => number
  /** The chain does not answer, or our own key is refused: told and tried again. */
  readonly onFault: (error: unknown) => void
  /** Must end the process: what the disk holds is found out by the next start. */
  readonly onDiskFault: (error: unknown) => void
  /** Told of chain nodes that differ; ignored when absent. */
  readonly onDifference?: OnDifference
  /** How often the chain is asked for payers who have shown no money; always, when absent. */
  readonly reads?: ReadBudget
  /** 0x and 64 hex digits: pays for transactions. */
  readonly settlementKey: string
  /** Sign charges and claims (spec/payment.md PA28). */
  readonly chargeKeys: readonly Hex[]
  readonly longestCallMs: number
  /** Collects what was paid (PA31); absent where nothing is to be sent. */
  readonly collect?: CollectHooks
}

/** The schemes, before they work. */
export type OpenMetered = {
  readonly ledger: DurableLedger
  readonly upto: UptoContext | undefined
  readonly channel: ChannelContext | undefined
  readonly manager: ChannelManager | undefined
  readonly sharedSender: SharedSender
  readonly collector: Collector | undefined
  readonly chargeKeys: ChargeKeys
  /** What payers are told of the contracts, where that is configured. */
  readonly operator: AnnouncedOperator | undefined
  /**
   * Begins work on chain: every other ledger has joined the sender. Resolves when the chain was read once, or did not
   * answer: channels are refused until it does.
   */
  start(): Promise<void>
  /** Ends work on chain; what is unfinished is left as recovery finds it. */
  stop(): Promise<void>
}

const intervalMs = 1000

/**
 * Opens the ledger and ends what was running when the last process died; `undefined` when no metered scheme is
 * configured.
 *
 * @throws ConfigError, DatabaseFault when another process owns the ledger, JournalDamaged.
 */
export async function openMetered(
  config: Config,
  payment: PaidConfig,
  surroundings: MeteredSurroundings,
): Promise<OpenMetered | undefined> {
  const { upto, batchSettlement } = payment
  const first = upto ?? batchSettlement
  if (first === undefined) return undefined
  const { clock, onFault, onDiskFault } = surroundings
  const ending = new AbortController()
  const { signal } = ending
  const curve = await loadEvmCurve()
  const account = createSettlementAccount(surroundings.settlementKey, curve)
  const terms = createTerms({ ...first, network: toNetwork(first.network), resourceBaseUrl: '' })
  const x402 = x402On(terms.chainId)
  if (x402 === undefined) throw new ConfigError('the contracts of x402 are not known there')
  const operator = openAnnouncedOperator(payment, x402)
  const { source, fees, finalDepth } = createChainTerms(
    payment,
    first.rpcUrl,
    surroundings.onDifference,
  )
  const chain = createChain(terms, source, signal)
  const directory = payment.journalDir ?? join(config.dataDir, 'ledger')
  const ledger = await openDurableLedger({ directory, clock, onFault: onDiskFault })
  try {
    const { chainId } = terms
    const chargeKeys = createChargeKeys({
      keys: surroundings.chargeKeys,
      curve,
      read: operator && createKeyRecordReader(chain.client, operator.terms),
      longestCallMs: surroundings.longestCallMs,
      clock,
    })
    const sharedSender = createSharedSender({ chain, chainId, account, signal, ...fees })
    sharedSender.join(createTransactionBook(ledger))
    const parts: Parts = {
      chain,
      ledger,
      sender: sharedSender.sender,
      finalDepth,
      curve,
      x402,
      address: account.address,
      sign: (digest) => chargeKeys.sign(digest),
      isRetiring: () => chargeKeys.isRetiring(),
      signal,
      reads: surroundings.reads,
      clock,
    }
    const works = openWorks(payment, parts, surroundings)
    return {
      ledger,
      sharedSender,
      chargeKeys,
      operator,
      ...connect(works, chargeKeys, ending, onFault),
    }
  } catch (error) {
    // Another start in this process finds it free.
    await ledger.close()
    throw error
  }
}

/** What works on chain. */
type Works = {
  readonly upto: ReturnType<typeof openUpto> | undefined
  readonly channel: ChannelContext | undefined
  readonly manager: ChannelManager | undefined
  readonly collector: Collector | undefined
}

function openWorks(payment: PaidConfig, parts: Parts, { collect }: MeteredSurroundings): Works {
  const { upto, batchSettlement } = payment
  const channel = batchSettlement && openChannels(batchSettlement, parts)
  return {
    upto: upto && openUpto(upto, parts),
    channel,
    manager: channel && createChannelManager(channel),
    collector: collect && openCollector(payment, parts, collect),
  }
}

function connect(
  { upto, channel, manager, collector }: Works,
  chargeKeys: ChargeKeys,
  ending: AbortController,
  onFault: (error: unknown) => void,
): Pick<OpenMetered, 'upto' | 'channel' | 'manager' | 'collector' | 'start' | 'stop'> {
  const { signal } = ending
  // Owned by `start` and `stop`.
  let working: Promise<unknown> | undefined
  return {
    upto: upto?.context,
    channel,
    manager,
    collector,
    start: async () => {
      await chargeKeys.refresh().catch(onFault)
      await manager?.step().catch(onFault)
      working = Promise.all([
        upto?.start(onFault),
        manager?.run(intervalMs, onFault),
        chargeKeys.run(signal, onFault),
        // What is claimed now is collected later: the claims of the first step came before it.
        collector?.run(signal, onFault),
      ])
    },
    stop: async () => {
      ending.abort(new Error('the gateway is closing'))
      await working
      await manager?.stopped()
    },
  }
}

type Parts = Parameters<typeof createChannelContext>[1] & {
  readonly chain: Chain
  readonly curve: EvmCurve
  readonly x402: X402Deployment
  readonly finalDepth: number
  readonly reads: ReadBudget | undefined
  readonly clock: () => number
}

function openUpto(
  config: UptoConfig,
  parts: Parts,
): { readonly context: UptoContext; start(onFault: (error: unknown) => void): Promise<void> } {
  const { chain, ledger, sender, curve, x402, address, sign, signal, clock } = parts
  const terms: UptoTerms = {
    ...createMeteredTerms(config),
    facilitator: getAddress(config.settler),
    uptoProxy: x402.uptoPermit2Proxy,
  }
  const settler = lower(config.settler)
  const settlement = {
    ledger,
    sender,
    settler,
    hashCharge: createUptoChargeHasher(terms.chainId, settler),
    sign,
    simulate: (call: { readonly to: Hex; readonly data: Hex; readonly gas: bigint }) =>
      chain.client.call({ account: address, ...call }),
    reverted: new Map<string, number>(),
    later: new Map<string, { readonly atMs: bigint; readonly count: number }>(),
    doubts: new Map(),
    watch: createSettlementWatch(chain.client, parts.finalDepth),
    findAnyReceipt: (hash: Hex) => chain.findReceipt(hash, 1),
    findReceipt: (hash: Hex) => chain.findReceipt(hash, config.confirmations),
    findUse: createUptoUseFinder(chain.client, { permit2: lower(x402.permit2), settler }),
    clock,
  }
  // Owned by `start`: before it, what is charged waits for the first step.
  let loop: UptoLoop | undefined
  const context: UptoContext = {
    terms,
    permit2Domain: createPermit2Domain(terms.chainId, lower(x402.permit2)),
    curve,
    ledger,
    readFunds: createFundsReader(chain, terms.asset, x402.permit2),
    maxExposureAtomic: BigInt(config.maxExposureAtomic),
    maxTotalExposureAtomic: BigInt(config.maxTotalExposureAtomic),
    maxUnsettledPayments: config.maxUnsettledPayments,
    ...(parts.reads === undefined ? {} : { reads: parts.reads }),
    settle: () => {
      loop?.wake()
    },
    clock,
  }
  return {
    context,
    start: (onFault) => {
      takeUpSettled(settlement)
      loop = startUptoLoop(settlement, { intervalMs, signal, onFault })
      return loop.stopped
    },
  }
}

function openChannels(config: BatchConfig, parts: Parts): ChannelContext {
  const { x402, clock } = parts
  const terms: ChannelTerms = {
    ...createMeteredTerms(config),
    receiverAuthorizer: getAddress(config.receiverAuthorizer),
    withdrawDelaySeconds: config.withdrawDelaySeconds,
    minDepositAtomic: BigInt(config.minDepositAtomic),
    maxRunningCalls: config.maxRunningCalls,
    erc3009Collector: x402.erc3009DepositCollector,
    permit2Collector: x402.permit2DepositCollector,
  }
  const options = {
    terms,
    batchContract: x402.batchSettlement,
    permit2: x402.permit2,
    depth: config.confirmations,
    claimPolicy: {
      maxUnclaimedAtomic: BigInt(config.maxUnclaimedAtomic),
      maxTotalUnclaimedAtomic: BigInt(config.maxTotalUnclaimedAtomic),
    },
    depositTimeoutMs: config.depositTimeoutMs,
    ...(parts.reads === undefined ? {} : { reads: parts.reads }),
    clock,
  }
  return createChannelContext(options, parts)
}

function createMeteredTerms(
  config: UptoConfig | BatchConfig,
): Omit<UptoTerms, 'facilitator' | 'uptoProxy'> {
  const network = toNetwork(config.network)
  return {
    network,
    chainId: BigInt(network.slice('eip155:'.length)),
    asset: getAddress(config.asset),
    assetName: config.assetName,
    assetVersion: config.assetVersion,
    payTo: getAddress(config.payTo),
    maxTimeoutSeconds: config.maxTimeoutSeconds,
  }
}

/** The schema has checked its form. */
function toNetwork(network: string): `eip155:${string}` {
  return `eip155:${network.split(':')[1] ?? ''}`
}

function lower(address: string): Hex {
  const parsed = parseAddress(address)
  if (parsed === undefined) throw new ConfigError('not an address')
  return parsed
}
