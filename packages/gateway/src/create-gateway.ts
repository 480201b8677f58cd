/** The composition root of the gateway: the one place that names adapters. */
import { mkdirSync } from 'node:fs'
import type { Logger } from 'pino'
import { createAnswerCache } from './call/answer-cache.ts'
import { createCatalogue } from './catalogue/catalogue.ts'
import type { Gateway } from './call/gateway.ts'
import { createMemoryBudget } from './call/memory-budget.ts'
import { createPendingCalls } from './call/pending-calls.ts'
import { ConfigError, type LoadedConfig } from './config/load-config.ts'
import { openAttester } from './enclave/open-attester.ts'
import { computeBuildDigest } from './keys/build-digest.ts'
import { createEpochs } from './keys/epochs.ts'
import { createRandomPool } from './keys/random-pool.ts'
import { createPayerLimits, type CallLimits } from './limits/payer-limits.ts'
import { computeSheetsDigest } from './metering/price-sheet.ts'
import { createUsageEstimator } from './metering/usage-estimator.ts'
import { createMetrics } from './metrics.ts'
import { createPayment } from './payment/create-payment.ts'
import { openOwnerStore } from './references/owner-store.ts'
import { issueOwedReceipts } from './receipts/issue-owed-receipts.ts'
import { openReceiptStore } from './receipts/receipt-store.ts'
import { openUpstreamAnswerStore } from './receipts/upstream-answer-store.ts'
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
  const { models, prices } = config
  const catalogue = createCatalogue({ models, prices, atMs: nowMs() })
  const upstreams = createUpstreams(config, catalogue, environment)
  checkCallTime(config, upstreams.longestCallMs)
  const receipts = openReceiptStore(config.dataDir, (error) => {
    log.error({ err: error }, 'receipts could not be written')
  })
  const isTranslating = models.some(({ translate }) => translate)
  const payment = await createPayment(config, {
    environment,
    clock: nowMs,
    log,
    // At once: not even calls under way may act on what is not on the disk.
    die: () => process.exit(exitJournal),
  })
  const pending = createPendingCalls()
  const requestMemory = createMemoryBudget(config.limits.maxHeldRequestBytes)
  const buildDigest = computeBuildDigest()
  const terms = {
    issuer: config.issuer,
    configDigest: digest,
    buildDigest,
    payees: payment.payees,
    ...(payment.settlementAddress === undefined
      ? {}
      : { settlementAddress: payment.settlementAddress }),
  }
  const attester = await openAttester(config.attestation, {
    build: buildDigest,
    configuration: digest,
  })
  const epochs = await createEpochs(terms, attester, {
    nowMs: nowMs(),
    random,
    previousKeysetDigest: receipts.lastKeysetDigest(),
    onEpoch: (epoch) => {
      receipts.putKeyset(epoch)
    },
    onError: (error) => {
      log.error({ err: error }, 'the next keyset could not be attested')
    },
  })
  const gateway: Gateway = {
    config,
    upstreams,
    payment: payment.scheme,
    refunds: payment.refunds,
    epochs,
    receipts,
    references: openOwnerStore(config.dataDir),
    estimator: createUsageEstimator(),
    answers: createAnswerCache(answerCacheBytes, answerCacheMs),
    // Loaded here and nowhere else: who does not translate does not pay for it.
    translator: isTranslating
      ? await (await import('./translation/translator.ts')).loadTranslator()
      : undefined,
    upstreamAnswers:
      isTranslating && config.translation.keepDays > 0
        ? openUpstreamAnswerStore(config.dataDir, config.translation.maxKeptBytes)
        : undefined,
    pending,
    payerLimits: createPayerLimits(toCallLimits(config), nowMs),
    requestMemory,
    metrics: createMetrics({
      pendingCalls: () => pending.size,
      requestBytes: () => requestMemory.takenBytes,
      unsettled: payment.unsettled,
    }),
    log,
    random,
    nowMs,
    priceSheetDigest: computeSheetsDigest(
      upstreams.models.map(({ id, dialect, sheet }) => [id === '*' ? `* ${dialect}` : id, sheet]),
    ),
  }
  await issueOwedReceipts(gateway, payment.owedReceipts)
  return gateway
}

/** Without members that are not given. */
function toCallLimits({ limits: { perPayer } }: LoadedConfig['config']): CallLimits {
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
    await gateway.upstreams.close()
  }
}
