/** Connects collecting to the schemes of a configuration: to their ledger, or to one of its own beside `exact` alone. */
import { join } from 'node:path'
import { x402On } from '@countersign/contracts/addresses'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import type { Logger } from 'pino'
import { ConfigError } from '../../config/load-config.ts'
import { collectSchema } from '../../config/payment-schema.ts'
import type { Config } from '../../config/schema.ts'
import { createTransactionBook } from '../channel/transaction-book.ts'
import type { ChainTerms } from '../chain-nodes/chain-terms.ts'
import type { EvmCurve } from '../evm-curve.ts'
import { createChain, type Chain } from '../exact/chain.ts'
import { createTerms } from '../exact/offer.ts'
import { createSettlementAccount, type Sender } from '../exact/sender.ts'
import { createSharedSender, type SharedSender } from '../exact/shared-sender.ts'
import { openDurableLedger, type DurableLedger } from '../ledger/durable-ledger.ts'
import type { CollectPolicy } from './choose-step.ts'
import type { CollectNews, CollectState } from './collect-status.ts'
import type { PayTo } from './collect-place.ts'
import { createCollector, type Collector } from './collector.ts'

type PaidConfig = Exclude<Config['payment'], 'none'>

/** How collecting stands to the rest of the process. */
export type CollectHooks = {
  readonly isOpen: () => boolean
  readonly onNews: (news: CollectNews) => void
}

/** What it shares with the schemes. */
export type CollectParts = {
  readonly chain: Chain
  readonly ledger: DurableLedger
  readonly sender: Sender
  readonly address: Hex
  readonly clock: () => number
}

/** The collector of these schemes. Without `payment.collect` it ends what is under way, and sends nothing. */
export function openCollector(
  payment: PaidConfig,
  { chain, ledger, sender, address, clock }: CollectParts,
  { isOpen, onNews }: CollectHooks,
): Collector {
  const { exact, upto, batchSettlement } = payment
  const schemes = [exact, upto, batchSettlement].filter((each) => each !== undefined)
  const [first] = schemes
  if (first === undefined) throw new ConfigError('payment names no way to pay on a chain')
  const depth = Math.max(...schemes.map(({ confirmations }) => confirmations))
  return createCollector({
    client: chain.client,
    ledger,
    sender,
    senderAddress: address,
    asset: toAddress(first.asset),
    payTos: listPayTos(payment),
    policy: createPolicy(payment),
    findReceipt: (hash) => chain.findReceipt(hash, depth),
    isOpen,
    onNews,
    clock,
  })
}

/** Collecting where `exact` is all there is: with the ledger and the sender that metered schemes would have. */
export type LoneCollector = {
  readonly sharedSender: SharedSender
  readonly collector: Collector
  /** `exact` has joined the sender. */
  start(): void
  stop(): Promise<void>
}

/**
 * Opens it where `exact` is to be collected; `undefined` where it is not.
 *
 * @throws DatabaseFault when another process owns the ledger, JournalDamaged.
 */
export async function openLoneCollector(
  config: Config,
  payment: PaidConfig,
  surroundings: {
    readonly settlementKey: string
    readonly curve: EvmCurve
    readonly chainTerms: ChainTerms | undefined
    readonly hooks: CollectHooks
    readonly clock: () => number
    readonly onFault: (error: unknown) => void
    readonly onDiskFault: (error: unknown) => void
  },
): Promise<LoneCollector | undefined> {
  const { exact, collect } = payment
  const { settlementKey, curve, chainTerms, hooks, clock } = surroundings
  if (exact === undefined || collect === undefined || chainTerms === undefined) return undefined
  const ending = new AbortController()
  const { signal } = ending
  const account = createSettlementAccount(settlementKey, curve)
  const terms = createTerms({
    ...exact,
    network: `eip155:${exact.network.split(':')[1] ?? ''}`,
    resourceBaseUrl: '',
  })
  const chain = createChain(terms, chainTerms.source, signal)
  const directory = payment.journalDir ?? join(config.dataDir, 'ledger')
  const ledger = await openDurableLedger({ directory, clock, onFault: surroundings.onDiskFault })
  const { chainId } = terms
  const sharedSender = createSharedSender({ chain, chainId, account, signal, ...chainTerms.fees })
  sharedSender.join(createTransactionBook(ledger))
  const { sender } = sharedSender
  const parts = { chain, ledger, sender, address: account.address, clock }
  const collector = openCollector(payment, parts, hooks)
  // Owned by `start` and `stop`.
  let working: Promise<void> | undefined
  return {
    sharedSender,
    collector,
    start: () => {
      working = collector.run(signal, surroundings.onFault)
    },
    stop: async () => {
      ending.abort(new Error('the gateway is closing'))
      await working
      await ledger.close()
    },
  }
}

/** How what was paid comes to the operator (PA31). */
export type Collecting = {
  state(): CollectState | undefined
  /** Told whenever the state may be another. */
  listen(onChange: () => void): void
}

/** Where the operator is told, and whoever listens. */
export type CollectLog = {
  readonly onNews: (news: CollectNews) => void
  /** Told of another state. One listener. */
  listen(onChange: () => void): void
}

/** Tells the operator. */
export function createCollectLog(log: Logger): CollectLog {
  // Owned by `listen`.
  let listener: (() => void) | undefined
  return {
    onNews: (news) => {
      write(log, news)
      if (news.kind === 'state') listener?.()
    },
    listen: (onChange) => {
      listener = onChange
    },
  }
}

/** For those who ask. */
export function describeCollecting(collector: Collector, log: CollectLog): Collecting {
  return {
    state: () => collector.status()?.state,
    listen: (onChange) => {
      log.listen(onChange)
    },
  }
}

function write(log: Logger, news: CollectNews): void {
  switch (news.kind) {
    case 'sent': {
      const { step, payTo, paid, transaction, amountAtomic } = news
      const amount = `${amountAtomic}`
      log.info({ step, payTo, paid, amountAtomic: amount, transaction }, 'collecting')
      return
    }
    case 'ended': {
      const { step, payTo, result, transaction } = news
      const fields = { step, payTo, result, movedAtomic: `${news.movedAtomic}`, transaction }
      if (result === 'done' || result === 'replaced') log.info(fields, 'collected')
      else log.error(fields, 'a transaction of collecting brought nothing')
      return
    }
    case 'refused': {
      const { step, payTo, result, revert, tryAgainMs } = news
      log.error({ step, payTo, result, revert, tryAgainMs }, 'collecting is refused')
      return
    }
    case 'state':
      if (news.state === 'waiting' || news.state === 'under-way') {
        log.debug({ state: news.state }, 'collecting')
      } else log.warn({ state: news.state }, 'collecting is held up')
  }
}

/** Every payTo once; settled for is the one of channels. */
export function listPayTos({ exact, upto, batchSettlement }: PaidConfig): readonly PayTo[] {
  const payTos = new Map<Hex, PayTo>()
  for (const scheme of [batchSettlement, upto, exact]) {
    if (scheme === undefined) continue
    const address = toAddress(scheme.payTo)
    if (payTos.has(address)) continue
    const contract = scheme === batchSettlement ? x402Of(scheme.network) : undefined
    payTos.set(address, { address, batch: contract })
  }
  return [...payTos.values()]
}

function x402Of(network: string): Hex | undefined {
  const address = x402On(+(network.split(':')[1] ?? ''))?.batchSettlement
  return address === undefined ? undefined : toAddress(address)
}

const weiPerGwei = 1_000_000_000n
const minuteMs = 60_000
const hourMs = 3_600_000

function createPolicy({ collect }: PaidConfig): CollectPolicy | undefined {
  if (collect === undefined) return undefined
  const asked = collectSchema.parse(collect)
  return {
    minAtomic: BigInt(asked.minAtomic),
    minIntervalMs: asked.minIntervalMinutes * minuteMs,
    maxWaitMs: asked.maxWaitHours === undefined ? undefined : asked.maxWaitHours * hourMs,
    maxGasPerDay: BigInt(asked.maxGasPerDay),
    maxGasPriceWei: BigInt(asked.maxGasPriceGwei) * weiPerGwei,
  }
}

function toAddress(text: string): Hex {
  const address = parseAddress(text)
  if (address === undefined) throw new ConfigError('not an address')
  return address
}
