/** The composition root of the gateway: the one place that names adapters. */
import { mkdirSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { createAnswerCache } from './call/answer-cache.ts'
import { createCatalogue } from './catalogue/catalogue.ts'
import type { Gateway, Telemetry } from './call/gateway.ts'
import { createMemoryBudget } from './call/memory-budget.ts'
import { createPendingCalls } from './call/pending-calls.ts'
import { createTurns } from './call/turns.ts'
import { ConfigError, type LoadedConfig } from './config/load-config.ts'
import { refuseFixedChange } from './config/refuse-fixed-change.ts'
import type { Config } from './config/schema.ts'
import type { Attester } from './enclave/attester.ts'
import { openAttester } from './enclave/open-attester.ts'
import { computeBuildDigest } from './keys/build-digest.ts'
import { createEpochs } from './keys/epochs.ts'
import { createSealedKeys } from './keys/sealed-keys.ts'
import { createTlsKeys } from './keys/tls-keys.ts'
import { createRandomPool, type RandomBytes } from './keys/random-pool.ts'
import { createPayerLimits, type CallLimits } from './limits/payer-limits.ts'
import { computeSheetsDigest } from './metering/price-sheet.ts'
import { createUsageEstimator } from './metering/usage-estimator.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { createPayment, type Payment } from './payment/create-payment.ts'
import { createOpenGradientSigner } from './profiles/open-gradient-signer.ts'
import { openOwnerStore } from './references/owner-store.ts'
import { issueOwedReceipts } from './receipts/issue-owed-receipts.ts'
import { openReceiptStore, type ReceiptStore } from './receipts/receipt-store.ts'
import { createSpanExporter } from './telemetry/otlp-exporter.ts'
import { openUpstreamAnswerStore } from './receipts/upstream-answer-store.ts'
import { listHosts } from './upstream/list-hosts.ts'
import { createUpstreams } from './upstream/upstreams.ts'

const answerCacheBytes = 67_108_864
const answerCacheMs = 600_000
const exitJournal = 74
const settlementMs = 6000

/**
 * Makes a gateway with new keys, on the data of its folder. It holds files and timers: `closeGateway` ends them.
 *
 * @throws ConfigError when what the configuration names is missing, AttestationError when there is no evidence.
 */
export async function createGateway(
  { config, digest }: LoadedConfig,
  environment: Readonly<Record<string, string | undefined>>,
  log: Logger,
): Promise<Gateway> {
  const nowMs = Date.now
  const random = createRandomPool()
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  const offer = openOffer(config, environment, nowMs())
  const receipts = openReceiptStore(config.dataDir, (error) => {
    log.error({ err: error }, 'receipts could not be written')
  })
  const payment = await createPayment(config, { environment, clock: nowMs, log, die })
  const pending = createPendingCalls()
  const metrics = createMetrics()
  const requestMemory = createMemoryBudget(config.limits.maxHeldRequestBytes)
  const { attester, ...epochs } = await openEpochs(
    { config, digest },
    { payment, receipts, random, log },
  )
  const gateway: Gateway = {
    ...offer,
    payment: payment.scheme,
    refunds: payment.refunds,
    unsettled: payment.unsettled,
    ...epochs,
    receipts,
    references: openOwnerStore(config.dataDir),
    estimator: createUsageEstimator(),
    answers: createAnswerCache(answerCacheBytes, answerCacheMs),
    openGradient:
      config.profiles.openGradient === undefined
        ? undefined
        : { signer: createOpenGradientSigner(), attester },
    ...(await openTranslation(config)),
    pending,
    turns: createTurns(),
    payerLimits: createPayerLimits(toCallLimits(config), nowMs),
    requestMemory,
    metrics,
    telemetry: createTelemetry(config, environment, metrics, log),
    log,
    random,
    nowMs,
  }
  await issueOwedReceipts(gateway, payment.owedReceipts)
  return gateway
}

/** At once: not even calls under way may act on what is not on the disk. */
function die(): void {
  process.exit(exitJournal)
}

/** What the keyset says of payment. */
function describePayment({ payees, settlementAddress }: Payment): {
  readonly payees: Payment['payees']
  readonly settlementAddress?: string
} {
  return settlementAddress === undefined ? { payees } : { payees, settlementAddress }
}

/**
 * A gateway by another configuration, on what the old one has open, with a keyset of its own. The old one stays good for
 * the calls that it handles: only its upstreams are to be closed after them.
 *
 * @throws ConfigError, AttestationError; nothing has changed then.
 */
export async function succeedGateway(
  old: Gateway,
  { config, digest }: LoadedConfig,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Gateway> {
  refuseFixedChange(old.config, config)
  const offer = openOffer(config, environment, old.nowMs())
  const isFirst = old.translator === undefined
  const translation = isFirst ? await openTranslation(config) : undefined
  try {
    const change = { configDigest: digest, upstreams: listHosts(config) }
    const epochs = await old.epochs.succeed(change, old.nowMs())
    old.requestMemory.limit(config.limits.maxHeldRequestBytes)
    const isSame = isDeepStrictEqual(old.config.limits.perPayer, config.limits.perPayer)
    const payerLimits = isSame
      ? old.payerLimits
      : createPayerLimits(toCallLimits(config), old.nowMs)
    return { ...old, ...offer, ...translation, epochs, payerLimits }
  } catch (error) {
    translation?.upstreamAnswers?.close()
    await offer.upstreams.close()
    throw error
  }
}

/** Loaded here and nowhere else: who does not translate does not pay for it. */
async function openTranslation({
  models,
  dataDir,
  translation,
}: Config): Promise<Pick<Gateway, 'translator' | 'upstreamAnswers'>> {
  if (!models.some(({ translate }) => translate)) {
    return { translator: undefined, upstreamAnswers: undefined }
  }
  const { loadTranslator } = await import('./translation/translator.ts')
  return {
    translator: await loadTranslator(),
    upstreamAnswers:
      translation.keepDays > 0
        ? openUpstreamAnswerStore(dataDir, translation.maxKeptBytes)
        : undefined,
  }
}

function createTelemetry(
  { telemetry }: Config,
  environment: Readonly<Record<string, string | undefined>>,
  { observeSpans }: Metrics,
  log: Logger,
): Telemetry | undefined {
  if (telemetry === undefined) return undefined
  const { otlpUrl: url, authorizationEnv: name, samplePercent } = telemetry
  const authorization = name === undefined ? undefined : environment[name]
  if (name !== undefined && !/^[ -~]+$/.test(authorization ?? '')) {
    throw new ConfigError(`telemetry: environment variable ${name} holds no Authorization header`)
  }
  const exporter = createSpanExporter({ url, authorization, onResult: observeSpans, log })
  return { exporter, samplePercent }
}

/** What can be asked for, where it goes and what it costs, by one configuration. */
function openOffer(
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
  nowMs: number,
): Pick<Gateway, 'config' | 'upstreams' | 'priceSheetDigest'> {
  const { models, prices } = config
  const catalogue = createCatalogue({ models, prices, atMs: nowMs })
  const upstreams = createUpstreams(config, catalogue, environment)
  checkCallTime(config, upstreams.longestCallMs)
  const sheets = upstreams.models.map(
    ({ id, dialect, sheet }) => [id === '*' ? `* ${dialect}` : id, sheet] as const,
  )
  return { config, upstreams, priceSheetDigest: computeSheetsDigest(sheets) }
}

/** The keys of the gateway, attested: nothing is signed, and nobody connects, before there is evidence for them. */
async function openEpochs(
  { config, digest }: LoadedConfig,
  parts: {
    readonly payment: Payment
    readonly receipts: ReceiptStore
    readonly random: RandomBytes
    readonly log: Logger
  },
): Promise<Pick<Gateway, 'epochs' | 'tls' | 'sealed'> & { readonly attester: Attester }> {
  const { payment, receipts, random, log } = parts
  const buildDigest = computeBuildDigest()
  const terms = {
    issuer: config.issuer,
    configDigest: digest,
    buildDigest,
    upstreams: listHosts(config),
    ...describePayment(payment),
  }
  const attester = await openAttester(config.attestation, {
    build: buildDigest,
    configuration: digest,
  })
  const sealed = config.listen.sealed ? createSealedKeys() : undefined
  const tls = config.listen.tls === undefined ? undefined : createTlsKeys()
  const epochs = await createEpochs(terms, attester, {
    nowMs: Date.now(),
    random,
    previousKeysetDigest: receipts.lastKeysetDigest(),
    plan: {
      tlsNames: config.listen.tls?.names,
      sealed: config.listen.sealed,
      signSettlement: payment.signSettlement,
    },
    onEpoch: (epoch) => {
      receipts.putKeyset(epoch)
      if (epoch.tls !== undefined) tls?.replace(epoch.tls)
      if (epoch.hpke !== undefined) sealed?.replace(epoch.hpke)
    },
    onError: (error) => {
      log.error({ err: error }, 'the next keyset could not be attested')
    },
  })
  return { epochs, tls, sealed, attester }
}

/** Without members that are not given. */
function toCallLimits({ limits: { perPayer } }: Config): CallLimits {
  const { callsPerMinute, burst, concurrentCalls } = perPayer
  return {
    ...(callsPerMinute === undefined ? {} : { callsPerMinute }),
    ...(burst === undefined ? {} : { burst }),
    ...(concurrentCalls === undefined ? {} : { concurrentCalls }),
  }
}

/** A signed maximum must outlive every call that it pays for, and the settlement after it. */
function checkCallTime({ payment }: LoadedConfig['config'], longestCallMs: number): void {
  if (payment === 'none' || payment.upto === undefined) return
  const callMs = (payment.upto.maxTimeoutSeconds * 1000) / 2
  if (callMs < longestCallMs + settlementMs) {
    throw new ConfigError(
      'payment.upto.maxTimeoutSeconds must be twice the longest totalTimeoutMs, and 12 s',
    )
  }
}

/** Ends background work and closes what is open. Calls under way must have ended. */
export async function closeGateway(gateway: Gateway): Promise<void> {
  try {
    // The ledger learns of stored receipts while it is open.
    gateway.receipts.flush()
    await gateway.payment.close()
  } finally {
    // Receipts that wait are written whatever happened to the ledger.
    gateway.receipts.close()
    gateway.references.close()
    gateway.upstreamAnswers?.close()
    await gateway.estimator.close()
    await gateway.telemetry?.exporter.close()
    await gateway.upstreams.close()
  }
}
