/** The payment schemes that the configuration asks for. */
import { join } from 'node:path'
import type { PaymentRequirements } from '@x402/core/types'
import type { Logger } from 'pino'
import { hexToBytes } from 'viem'
import type { Payee } from '@countersign/protocol/receipt/keyset'
import { ConfigError } from '../config/load-config.ts'
import type { Config } from '../config/schema.ts'
import { createReadBudget, type ReadBudget } from '../limits/read-budget.ts'
import type { PaymentScheme } from './admission.ts'
import { createApiKeyPayment } from './api-key.ts'
import type { AnnouncedOperator } from './announced-operator.ts'
import { findMetered } from './call-names.ts'
import type { ChargeKeys, SettlementKeys } from './charge-key/charge-keys.ts'
import { longestCallMs } from './charge-key/longest-call.ts'
import { readChargeKeys, readSettlementKey } from './charge-key/read-charge-keys.ts'
import { isKeyRefused } from './channel/settlement-key.ts'
import type { Collector } from './collect/collector.ts'
import {
  createCollectLog,
  describeCollecting,
  openLoneCollector,
  type CollectLog,
  type Collecting,
  type LoneCollector,
} from './collect/open-collector.ts'
import { createCombinedPayment } from './combined.ts'
import { loadEvmCurve, type EvmCurve } from './evm-curve.ts'
import { behindGate, openChainGate, type ChainGate } from './chain-nodes/chain-gate.ts'
import {
  createChainTerms,
  createDifferenceLog,
  readStrangerLimits,
  type ChainTerms,
  type DifferenceLog,
} from './chain-nodes/chain-terms.ts'
import { createChainClients } from './chain-nodes/nodes-transport.ts'
import { createExactPayment, type ExactOptions } from './exact/exact-payment.ts'
import { createQuote, createTerms } from './exact/offer.ts'
import { createSettlementAccount } from './exact/sender.ts'
import { createMeteredOffers, toAccepts, type MeteredTermsSet } from './metered/metered-offers.ts'
import { createMeteredScheme, type ExactBeside } from './metered/metered-scheme.ts'
import { openMetered, type OpenMetered } from './metered/open-metered.ts'
import { listOwedReceipts, type OwedReceipt } from './metered/owed-receipts.ts'
import { countUnsettled, nothing, type Unsettled } from './metered/count-unsettled.ts'
import { createRefundDesk, type RefundDesk } from './metered/refund-desk.ts'
import { createNoPayment } from './none.ts'

/** A scheme, and what the keyset says about it. */
export type Payment = {
  readonly scheme: PaymentScheme
  readonly payees: readonly Payee[]
  /** Sign charges and claims, or send the settlements of `exact`; `undefined` when nothing is settled on chain. */
  readonly settlement: SettlementKeys | undefined
  /** `undefined` without metered schemes (spec/payment.md PA28). */
  readonly chargeKeys: ChargeKeys | undefined
  /** False while there are metered schemes and no good charge key. */
  readonly isSelling: () => boolean
  /** What `GET /v1/terms` answers, and its digest. */
  readonly operator: Pick<AnnouncedOperator, 'document' | 'digest'> | undefined
  /** Charges that have no receipt yet: before the first call those of an earlier process. */
  readonly owedReceipts: () => readonly OwedReceipt[]
  /** Gives back what channels hold; `undefined` without channels. */
  readonly refunds: RefundDesk | undefined
  /** Charges of metered schemes that are not on chain yet. */
  readonly unsettled: () => Unsettled
  /** `undefined` where nothing is collected. */
  readonly collecting: Collecting | undefined
}

/** What the schemes need of the process. */
export type PaymentSurroundings = {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: () => number
  readonly log: Logger
  /** Ends the process at once: the payment journal cannot be written. */
  readonly die: () => void
}

type PaidConfig = Exclude<Config['payment'], 'none'>
type ExactConfig = NonNullable<PaidConfig['exact']>

/**
 * Opens the schemes; what an earlier process left unsettled is taken up.
 *
 * @throws ConfigError when a secret is missing or malformed.
 */
export async function createPayment(
  config: Config,
  surroundings: PaymentSurroundings,
): Promise<Payment> {
  const { payment } = config
  if (payment === 'none') return withoutChain(createNoPayment(surroundings.clock))
  // Owned here: what is open when a later step throws is closed, the latest first.
  const opened: (() => Promise<unknown>)[] = []
  try {
    return await createPaid(config, payment, surroundings, opened)
  } catch (error) {
    for (const close of opened.toReversed()) await close()
    throw error
  }
}

async function createPaid(
  config: Config,
  payment: PaidConfig,
  surroundings: PaymentSurroundings,
  opened: (() => Promise<unknown>)[],
): Promise<Payment> {
  const apiKey = createKeys(config, payment, surroundings)
  if (apiKey !== undefined) opened.push(() => apiKey.close())
  const x402 = await createX402(config, payment, surroundings, opened)
  if (x402 === undefined) {
    if (apiKey === undefined) throw new ConfigError('payment names no way to pay')
    return withoutChain(apiKey)
  }
  if (apiKey === undefined) return x402
  return { ...x402, scheme: createCombinedPayment({ exact: x402.scheme, apiKey }) }
}

const noKeys = {
  settlement: undefined,
  chargeKeys: undefined,
  isSelling: () => true,
  operator: undefined,
} as const

function withoutChain(scheme: PaymentScheme): Payment {
  return {
    scheme,
    payees: [],
    ...noKeys,
    owedReceipts: () => [],
    refunds: undefined,
    collecting: undefined,
    unsettled: () => nothing,
  }
}

function createKeys(
  config: Config,
  { apiKeys }: PaidConfig,
  { clock }: PaymentSurroundings,
): PaymentScheme | undefined {
  if (apiKeys === undefined) return undefined
  const databaseFile = join(config.dataDir, 'api-keys.db')
  return createApiKeyPayment({ databaseFile, asset: apiKeys.asset, clock })
}

async function createX402(
  config: Config,
  payment: PaidConfig,
  surroundings: PaymentSurroundings,
  opened: (() => Promise<unknown>)[],
): Promise<Payment | undefined> {
  const { exact, upto, batchSettlement } = payment
  if (exact === undefined && upto === undefined && batchSettlement === undefined) return undefined
  const { environment, log, clock, die } = surroundings
  const settlementKey = readSettlementKey(environment)
  const differences = createDifferenceLog(log, clock)
  const { onDifference } = differences
  const gate = await openGate(payment, differences, log)
  // One for all schemes: a payer is no more than a key.
  const reads = createReadBudget(readStrangerLimits(payment), clock)
  opened.push(() => gate.stop())
  const collectLog = createCollectLog(log)
  const collect = { isOpen: () => gate.isOpen(), onNews: collectLog.onNews }
  const onFault = (error: unknown): void => {
    // The registry has changed its mind before the next reading.
    if (isKeyRefused(error)) metered?.chargeKeys.refreshSoon()
    // The message of a node may quote what others sent.
    log.warn({ fault: error instanceof Error ? error.name : 'unknown' }, 'the chain made no step')
  }
  const onDiskFault = (error: unknown): void => {
    log.fatal({ err: error }, 'the payment journal cannot be written')
    die()
  }
  const metered = await openMetered(config, payment, {
    reads,
    onDifference,
    clock,
    settlementKey,
    chargeKeys: readChargeKeys(config, environment),
    longestCallMs: longestCallMs(config),
    collect,
    onFault,
    onDiskFault,
  })
  if (metered !== undefined) opened.push(() => closeMetered(metered))
  const curve = await loadEvmCurve()
  const chainTerms = exact && createChainTerms(payment, exact.rpcUrl, onDifference)
  const shared = { settlementKey, curve, chainTerms, clock, onFault, onDiskFault }
  const lone = metered
    ? undefined
    : await openLoneCollector(config, payment, { ...shared, hooks: collect })
  if (lone !== undefined) opened.push(() => lone.stop())
  const terms = listTerms(config, metered)
  const beside =
    exact && createExact(config, exact, { ...shared, metered, lone, terms, reads }, surroundings)
  if (beside !== undefined) opened.push(() => beside.scheme.close())
  await metered?.start()
  lone?.start()
  const scheme = behindGate(gate, combineX402(metered, lone, terms, beside))
  return {
    scheme,
    payees: listPayees(payment),
    ...describeKeys(metered, settlementKey),
    ...describeWork(metered, lone, differences, collectLog, reads),
    refunds: metered?.channel && createRefundDesk(metered.channel, terms.resourceBaseUrl),
  }
}

function listTerms(config: Config, metered: OpenMetered | undefined): MeteredTermsSet {
  return {
    upto: metered?.upto?.terms,
    channel: metered?.channel?.terms,
    resourceBaseUrl: resourceBaseUrl(config),
  }
}

function describeWork(
  metered: OpenMetered | undefined,
  lone: LoneCollector | undefined,
  differences: DifferenceLog,
  collectLog: CollectLog,
  reads: ReadBudget,
): Pick<Payment, 'owedReceipts' | 'unsettled' | 'collecting'> {
  const collector = metered?.collector ?? lone?.collector
  return {
    owedReceipts: () => (metered === undefined ? [] : listOwedReceipts(metered)),
    unsettled: () => describeUnsettled(metered, differences, collector, reads),
    collecting: collector && describeCollecting(collector, collectLog),
  }
}

async function closeMetered(metered: OpenMetered): Promise<void> {
  await metered.stop()
  await metered.ledger.close()
}

function describeUnsettled(
  metered: OpenMetered | undefined,
  { counts }: DifferenceLog,
  collector: Collector | undefined,
  reads: ReadBudget,
): Unsettled {
  const collect = collector?.status()
  return {
    ...(metered === undefined ? nothing : countUnsettled(metered.ledger.state)),
    nodeDifferences: counts,
    looks: reads.counts,
    ...(collect === undefined ? {} : { collect }),
  }
}

/** Before anything is opened: a wrong chain ends the start. */
async function openGate(
  { chain, exact, upto, batchSettlement }: PaidConfig,
  { onDifference }: DifferenceLog,
  log: Logger,
): Promise<ChainGate> {
  const first = exact ?? upto ?? batchSettlement
  if (first === undefined) throw new ConfigError('payment names no way to pay')
  const { source } = createChainTerms({ chain }, first.rpcUrl, onDifference)
  const takesErc3009 = exact !== undefined || batchSettlement !== undefined
  const { client } = createChainClients(source)
  return openChainGate(client, { ...first, takesErc3009 }, (error) => {
    log.error({ err: error }, 'nothing is sold: the chain is not the configured one')
  })
}

function describeKeys(
  metered: OpenMetered | undefined,
  settlementKey: string,
): Pick<Payment, 'settlement' | 'chargeKeys' | 'isSelling' | 'operator'> {
  if (metered === undefined) {
    return { ...noKeys, settlement: createSenderOnly(settlementKey) }
  }
  const { chargeKeys, operator } = metered
  return { settlement: chargeKeys, chargeKeys, isSelling: () => chargeKeys.isGood(), operator }
}

/** The account that sends the settlements of `exact`, where that is all. */
function createSenderOnly(settlementKey: string): SettlementKeys {
  const { address, signMessage } = createSettlementAccount(settlementKey)
  return {
    named: () => ({ address, others: [] }),
    confirm: async (_, message) => hexToBytes(await signMessage({ message: { raw: message } })),
  }
}

function combineX402(
  metered: OpenMetered | undefined,
  lone: LoneCollector | undefined,
  { resourceBaseUrl: base }: MeteredTermsSet,
  exact: ExactBeside | undefined,
): PaymentScheme {
  if (metered === undefined) {
    if (exact === undefined) throw new ConfigError('payment names no way to pay')
    return lone === undefined ? exact.scheme : closingBoth(exact.scheme, lone)
  }
  const { upto, channel, ledger, chargeKeys } = metered
  const isSelling = (): boolean => chargeKeys.isGood()
  const schemes = { upto, channel, exact, resourceBaseUrl: base, isSelling }
  return createMeteredScheme(schemes, async () => {
    // In this order: the settlements of `exact` are sent by the same sender, from the books of both ledgers.
    await metered.stop()
    await exact?.scheme.close()
    await ledger.close()
  })
}

/** In this order: the settlements of `exact` are sent from the books of both ledgers. */
function closingBoth(scheme: PaymentScheme, lone: LoneCollector): PaymentScheme {
  return {
    ...scheme,
    close: async () => {
      await scheme.close()
      await lone.stop()
    },
  }
}

/** Where each asset goes, every address once. */
function listPayees({ exact, upto, batchSettlement }: PaidConfig): readonly Payee[] {
  const payees = new Map<string, Payee>()
  for (const scheme of [exact, upto, batchSettlement]) {
    if (scheme === undefined) continue
    const { network, asset, payTo: address } = scheme
    payees.set(address.toLowerCase(), { network, asset, address })
  }
  return [...payees.values()]
}

function createExact(
  config: Config,
  exact: ExactConfig,
  beside: {
    readonly settlementKey: string
    readonly metered: OpenMetered | undefined
    readonly lone: LoneCollector | undefined
    readonly terms: MeteredTermsSet
    readonly curve: EvmCurve
    readonly reads: ReadBudget
    readonly chainTerms: ChainTerms | undefined
  },
  { clock, log }: PaymentSurroundings,
): ExactBeside {
  const { settle, network, ...terms } = exact
  const options = {
    ...terms,
    network: toNetwork(network),
    resourceBaseUrl: resourceBaseUrl(config),
  }
  const quoteTerms = createTerms(options)
  const scheme = createExactPayment({
    ...options,
    settlementKey: beside.settlementKey,
    ...(beside.chainTerms === undefined ? {} : { chainTerms: beside.chainTerms }),
    curve: beside.curve,
    reads: beside.reads,
    settle:
      settle === 'before'
        ? { kind: 'before' }
        : { kind: 'after', maxAtRiskAtomic: BigInt(settle.after.maxAtRiskAtomic) },
    databaseFile: join(config.dataDir, 'payments.db'),
    clock,
    otherOffers: (path, amountAtomic) =>
      toAccepts(createMeteredOffers(beside.terms, path, amountAtomic)),
    ...(beside.lone === undefined ? {} : { sharedSender: beside.lone.sharedSender }),
    ...(beside.metered === undefined ? {} : besideMetered(beside.metered, clock)),
    onFault: (error) => {
      log.error({ err: error }, 'the payment ledger failed')
    },
  })
  const offer = (path: string, amountAtomic: bigint): PaymentRequirements =>
    createQuote(quoteTerms, path, amountAtomic).requirements
  return { scheme, offer }
}

/** One sender of transactions and one book of names. */
function besideMetered(
  { ledger, sharedSender }: OpenMetered,
  clock: () => number,
): Pick<ExactOptions, 'sharedSender' | 'meteredNames'> {
  return { sharedSender, meteredNames: (digest) => findMetered(ledger, digest, clock()) }
}

function resourceBaseUrl({ publicUrl, listen: { host, port } }: Config): string {
  return (publicUrl ?? `http://${host}:${port}`).replace(/\/$/, '')
}

function toNetwork(network: string): `eip155:${string}` {
  const [, chainId = ''] = network.split(':')
  return `eip155:${chainId}`
}
