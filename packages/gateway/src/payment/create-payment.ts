/** The payment schemes that the configuration asks for. */
import { join } from 'node:path'
import type { PaymentRequirements } from '@x402/core/types'
import type { Logger } from 'pino'
import { hexToBytes } from 'viem'
import type { Payee } from '@countersign/protocol/receipt/keyset'
import { ConfigError } from '../config/load-config.ts'
import type { Config } from '../config/schema.ts'
import type { PaymentScheme } from './admission.ts'
import { createApiKeyPayment } from './api-key.ts'
import { findMetered } from './call-names.ts'
import { createCombinedPayment } from './combined.ts'
import { loadEvmCurve, type EvmCurve } from './evm-curve.ts'
import {
  createChainTerms,
  createDifferenceLog,
  type ChainTerms,
} from './chain-nodes/chain-terms.ts'
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
  /** Signs charges and claims, or sends the settlements of `exact`; `undefined` when nothing is settled on chain. */
  readonly settlementAddress: string | undefined
  /** Signs by EIP-191 with the settlement key, to show that it is held. */
  readonly signSettlement: ((message: Uint8Array) => Promise<Uint8Array>) | undefined
  /** Charges that have no receipt yet: before the first call those of an earlier process. */
  readonly owedReceipts: () => readonly OwedReceipt[]
  /** Gives back what channels hold; `undefined` without channels. */
  readonly refunds: RefundDesk | undefined
  /** Charges of metered schemes that are not on chain yet. */
  readonly unsettled: () => Unsettled
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

const settlementKeyName = 'COUNTERSIGN_SETTLEMENT_KEY'
const chargeKeyName = 'COUNTERSIGN_CHARGE_KEY'

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
  const apiKey = createKeys(config, payment, surroundings)
  const x402 = await createX402(config, payment, surroundings)
  if (x402 === undefined) {
    if (apiKey === undefined) throw new ConfigError('payment names no way to pay')
    return withoutChain(apiKey)
  }
  if (apiKey === undefined) return x402
  return { ...x402, scheme: createCombinedPayment({ exact: x402.scheme, apiKey }) }
}

function withoutChain(scheme: PaymentScheme): Payment {
  return {
    scheme,
    payees: [],
    settlementAddress: undefined,
    signSettlement: undefined,
    owedReceipts: () => [],
    refunds: undefined,
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
): Promise<Payment | undefined> {
  const { exact, upto, batchSettlement } = payment
  if (exact === undefined && upto === undefined && batchSettlement === undefined) return undefined
  const { environment, log, clock, die } = surroundings
  const { settlementKey, chargeKey } = readPaymentKeys(environment)
  const differences = createDifferenceLog(log, clock)
  const metered = await openMetered(config, payment, {
    onDifference: differences.onDifference,
    clock,
    settlementKey,
    chargeKey,
    onFault: (error) => {
      // The message of a node may quote what others sent.
      log.warn({ fault: error instanceof Error ? error.name : 'unknown' }, 'the chain made no step')
    },
    onDiskFault: (error) => {
      log.fatal({ err: error }, 'the payment journal cannot be written')
      die()
    },
  })
  const terms: MeteredTermsSet = {
    upto: metered?.upto?.terms,
    channel: metered?.channel?.terms,
    resourceBaseUrl: resourceBaseUrl(config),
  }
  const curve = await loadEvmCurve()
  const beside =
    exact &&
    createExact(
      config,
      exact,
      settlementKey,
      {
        metered,
        terms,
        curve,
        chain: createChainTerms(payment, exact.rpcUrl, differences.onDifference),
      },
      surroundings,
    )
  await metered?.start()
  const account = createSettlementAccount(metered === undefined ? settlementKey : chargeKey)
  return {
    scheme: combineX402(metered, terms, beside),
    payees: listPayees(payment),
    settlementAddress: account.address,
    signSettlement: async (message) =>
      hexToBytes(await account.signMessage({ message: { raw: message } })),
    owedReceipts: () => (metered === undefined ? [] : listOwedReceipts(metered)),
    unsettled: () => ({
      ...(metered === undefined ? nothing : countUnsettled(metered.ledger.state)),
      nodeDifferences: differences.counts,
    }),
    refunds: metered?.channel && createRefundDesk(metered.channel, terms.resourceBaseUrl),
  }
}

/** Pays for transactions; signs charges and claims. @throws ConfigError when one is missing or malformed. */
export function readPaymentKeys(environment: PaymentSurroundings['environment']): {
  readonly settlementKey: string
  readonly chargeKey: string
} {
  const settlementKey = readKey(environment, settlementKeyName)
  const hasOwn = environment[chargeKeyName] !== undefined
  return {
    settlementKey,
    chargeKey: hasOwn ? readKey(environment, chargeKeyName) : settlementKey,
  }
}

function combineX402(
  metered: OpenMetered | undefined,
  { resourceBaseUrl: base }: MeteredTermsSet,
  exact: ExactBeside | undefined,
): PaymentScheme {
  if (metered === undefined) {
    if (exact === undefined) throw new ConfigError('payment names no way to pay')
    return exact.scheme
  }
  const { upto, channel, ledger } = metered
  return createMeteredScheme({ upto, channel, exact, resourceBaseUrl: base }, async () => {
    // In this order: the settlements of `exact` are sent by the same sender, from the books of both ledgers.
    await metered.stop()
    await exact?.scheme.close()
    await ledger.close()
  })
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
  settlementKey: string,
  beside: {
    readonly metered: OpenMetered | undefined
    readonly terms: MeteredTermsSet
    readonly curve: EvmCurve
    readonly chain: ChainTerms
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
    settlementKey,
    chainTerms: beside.chain,
    curve: beside.curve,
    settle:
      settle === 'before'
        ? { kind: 'before' }
        : { kind: 'after', maxAtRiskAtomic: BigInt(settle.after.maxAtRiskAtomic) },
    databaseFile: join(config.dataDir, 'payments.db'),
    clock,
    otherOffers: (path, amountAtomic) =>
      toAccepts(createMeteredOffers(beside.terms, path, amountAtomic)),
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

function readKey(environment: PaymentSurroundings['environment'], name: string): string {
  const key = environment[name]
  if (key === undefined || !/^0x[0-9a-f]{64}$/.test(key)) {
    throw new ConfigError(`environment variable ${name} must hold 0x and 64 hex digits`)
  }
  return key
}
