/** The composition root of the gateway: the one place that names adapters. */
import { mkdirSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { createAnswerCache } from './call/answer-cache.ts'
import { createCatalogue } from './catalogue/catalogue.ts'
import type { Gateway, Siblings, Succession, Telemetry } from './call/gateway.ts'
import { createMemoryBudget } from './call/memory-budget.ts'
import { createPendingCalls } from './call/pending-calls.ts'
import { createTurns } from './call/turns.ts'
import { ConfigError, type LoadedConfig } from './config/load-config.ts'
import { refuseFixedChange } from './config/refuse-fixed-change.ts'
import type { Config } from './config/schema.ts'
import type { Attester } from './enclave/attester.ts'
import { openAttester } from './enclave/open-attester.ts'
import { createCallerFinder } from './http/caller-address.ts'
import { computeBuildDigest } from './keys/build-digest.ts'
import { createEpochs } from './keys/epochs.ts'
import type { TakeTurn } from './keys/keyset-turn.ts'
import { createSealedKeys, type SealedKeys } from './keys/sealed-keys.ts'
import { createTlsKeys } from './keys/tls-keys.ts'
import { createRandomPool, type RandomBytes } from './keys/random-pool.ts'
import { createPayerLimits, type CallLimits, type PayerLimits } from './limits/payer-limits.ts'
import { computeSheetsDigest } from './metering/price-sheet.ts'
import { createUsageEstimator } from './metering/usage-estimator.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import type { Announcer } from './payment/charge-key/announcer.ts'
import { followKeys } from './payment/charge-key/follow-keys.ts'
import type { KeyChange } from './payment/charge-key/charge-keys.ts'
import type { NamedKeys } from './payment/charge-key/key-state.ts'
import { reloadChargeKeys } from './payment/charge-key/reload-keys.ts'
import { createPayment, type Payment } from './payment/create-payment.ts'
import {
  createOpenGradientSigner,
  type OpenGradientSigner,
} from './profiles/open-gradient-signer.ts'
import { openOwnerStore } from './references/owner-store.ts'
import { issueOwedReceipts } from './receipts/issue-owed-receipts.ts'
import { openReceiptStore, type ReceiptStore } from './receipts/receipt-store.ts'
import { createSpanExporter } from './telemetry/otlp-exporter.ts'
import {
  openUpstreamAnswerStore,
  type UpstreamAnswerStore,
} from './receipts/upstream-answer-store.ts'
import { listHosts } from './upstream/list-hosts.ts'
import { createUpstreams } from './upstream/upstreams.ts'

const answerCacheBytes = 134_217_728
const answerCacheMs = 600_000
const exitJournal = 74
const settlementMs = 6000

/** What exists once, however many processes serve: its owner is this process, or the primary of several (workers/). */
export type Commons = {
  readonly payment: Payment
  readonly attester: Attester
  readonly payerLimits: PayerLimits
  /** Keysets of several processes make one chain; by default this process is alone. */
  readonly takeTurn?: TakeTurn
  /** Told of the charge keys that each current keyset of this process names. */
  readonly keysetShown?: (names: NamedKeys) => void
  /** Keys that several processes have together. */
  readonly sealed?: SealedKeys
  /** The key of OpenGradient's profile, where several processes have one. */
  readonly openGradient?: OpenGradientSigner
  readonly siblings?: Siblings
  /** The day of list prices; now, when absent. */
  readonly offerAtMs?: number
}

/**
 * Makes a gateway with new keys, on the data of its folder. It holds files and timers: `closeGateway` ends them.
 *
 * @throws ConfigError when what the configuration names is missing, AttestationError when there is no evidence.
 */
export async function createGateway(
  { config, digest }: LoadedConfig,
  environment: Readonly<Record<string, string | undefined>>,
  log: Logger,
  given?: Commons,
): Promise<Gateway> {
  const nowMs = Date.now
  const random = createRandomPool()
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  const offer = openOffer(config, environment, given?.offerAtMs ?? nowMs())
  const receipts = openReceiptStore(config.dataDir, (error) => {
    log.error({ err: error }, 'receipts could not be written')
  })
  const buildDigest = computeBuildDigest()
  const commons: Commons =
    given ?? (await openCommons({ config, digest }, environment, log, buildDigest))
  const { payment, attester, payerLimits, siblings } = commons
  const pending = createPendingCalls()
  const metrics = createMetrics()
  const requestMemory = createMemoryBudget(config.limits.maxHeldRequestBytes)
  const epochs = await openEpochs(
    { config, digest },
    { commons, receipts, random, log, buildDigest },
  )
  const gateway: Gateway = {
    ...offer,
    payment: payment.scheme,
    refunds: payment.refunds,
    unsettled: payment.unsettled,
    collecting: () => payment.collecting?.state(),
    chargeKeys: payment.chargeKeys,
    announcer: undefined,
    isSelling: payment.isSelling,
    terms: payment.operator?.document,
    ...epochs,
    receipts,
    references: openOwnerStore(config.dataDir),
    estimator: createUsageEstimator(),
    answers: createAnswerCache(answerCacheBytes, answerCacheMs),
    openGradient:
      config.profiles.openGradient === undefined
        ? undefined
        : { signer: commons.openGradient ?? createOpenGradientSigner(), attester },
    ...(await openTranslation(config)),
    pending,
    siblings,
    turns: createTurns(),
    payerLimits,
    findCaller: createCallerFinder(config.listen.proxies),
    requestMemory,
    metrics,
    telemetry: createTelemetry(config, environment, metrics, log),
    log,
    random,
    nowMs,
  }
  gateway.announcer = followOwnKeys(gateway)
  await issueOwedReceipts(gateway, payment.owedReceipts())
  return gateway
}

/**
 * Opens what exists once.
 *
 * @throws ConfigError, AttestationError
 */
export async function openCommons(
  { config, digest }: LoadedConfig,
  environment: Readonly<Record<string, string | undefined>>,
  log: Logger,
  build: Uint8Array,
): Promise<Pick<Commons, 'payment' | 'attester' | 'payerLimits'>> {
  const payment = await createPayment(config, { environment, clock: Date.now, log, die })
  const digests = { build, configuration: digest }
  const attester = await openAttester(config.attestation, digests, (error) => {
    log.warn({ err: error }, 'a source gave no evidence')
  })
  return { payment, attester, payerLimits: openPayerLimits(config) }
}

/** Limits of payers by a configuration. */
export function openPayerLimits(config: Config): PayerLimits {
  return createPayerLimits(toCallLimits(config), Date.now)
}

/**
 * Tries what a configuration offers, without keeping anything open.
 *
 * @throws ConfigError
 */
export async function checkOffer(
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
  atMs: number,
): Promise<void> {
  await openOffer(config, environment, atMs).upstreams.close()
}

/** At once: not even calls under way may act on what is not on the disk. */
function die(): void {
  process.exit(exitJournal)
}

/** What the keyset says of payment, whichever key signs. */
function describePayment({ payees, operator }: Payment): {
  readonly payees: Payment['payees']
  readonly termsDigest?: Uint8Array
} {
  return operator === undefined ? { payees } : { payees, termsDigest: operator.digest }
}

/** The place of a process that shows keysets alone. */
const thisProcess: unique symbol = Symbol('this process')

function followOwnKeys({ chargeKeys, epochs, nowMs, log }: Gateway): Announcer | undefined {
  return followKeys(chargeKeys, log, {
    renew: () => epochs.renew(nowMs()),
    onNews: () => undefined,
  })
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
  atMs: number = old.nowMs(),
): Promise<Succession> {
  refuseFixedChange(old.config, config)
  const offer = openOffer(config, environment, atMs, old.upstreams)
  const isFirst = old.translator === undefined
  const translation = isFirst ? await openTranslation(config) : undefined
  let keys: KeyChange | undefined
  const release = async (): Promise<void> => {
    keys?.undo()
    translation?.upstreamAnswers?.close()
    await offer.upstreams.close()
  }
  try {
    // Before the keyset that names them.
    keys = await reloadChargeKeys(old.chargeKeys, config, environment)
    const change = { configDigest: digest, upstreams: listHosts(config) }
    const epochs = await old.epochs.succeed(change, old.nowMs())
    const isSame = isDeepStrictEqual(old.config.limits.perPayer, config.limits.perPayer)
    // Those of several processes are the primary's.
    const isKept = isSame || old.siblings !== undefined
    const payerLimits = isKept ? old.payerLimits : openPayerLimits(config)
    const next: Gateway = { ...old, ...offer, ...translation, epochs, payerLimits }
    const { commit } = keys
    const adopt = (): Gateway => {
      next.requestMemory.limit(config.limits.maxHeldRequestBytes)
      next.announcer = followOwnKeys(next)
      epochs.show()
      commit()
      next.announcer?.check()
      return next
    }
    const drop = async (): Promise<void> => {
      epochs.forget()
      await release()
    }
    return { adopt, drop }
  } catch (error) {
    await release()
    throw error
  }
}

/** Loaded here and nowhere else: who does not translate does not pay for it. */
async function openTranslation(
  config: Config,
): Promise<Pick<Gateway, 'translator' | 'upstreamAnswers'>> {
  if (!translates(config)) return { translator: undefined, upstreamAnswers: undefined }
  const { loadTranslator } = await import('./translation/translator.ts')
  return { translator: await loadTranslator(), upstreamAnswers: openUpstreamAnswers(config) }
}

function translates({ models }: Config): boolean {
  return models.some(({ translate }) => translate)
}

/** The file of providers' bytes, where this configuration keeps any. */
export function openUpstreamAnswers(config: Config): UpstreamAnswerStore | undefined {
  const { dataDir, translation } = config
  return translates(config) && translation.keepDays > 0
    ? openUpstreamAnswerStore(dataDir, translation.maxKeptBytes)
    : undefined
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
  former?: Gateway['upstreams'],
): Pick<Gateway, 'config' | 'upstreams' | 'priceSheetDigest'> {
  const { models, prices } = config
  const catalogue = createCatalogue({ models, prices, atMs: nowMs })
  const upstreams = createUpstreams(config, catalogue, environment, former)
  try {
    checkCallTime(config, upstreams.longestCallMs)
  } catch (error) {
    void upstreams.close()
    throw error
  }
  const sheets = upstreams.models.map(
    ({ id, dialect, sheet }) => [id === '*' ? `* ${dialect}` : id, sheet] as const,
  )
  return { config, upstreams, priceSheetDigest: computeSheetsDigest(sheets) }
}

/** The keys of the gateway, attested: nothing is signed, and nobody connects, before there is evidence for them. */
async function openEpochs(
  { config, digest }: LoadedConfig,
  parts: {
    readonly commons: Commons
    readonly receipts: ReceiptStore
    readonly random: RandomBytes
    readonly log: Logger
    readonly buildDigest: Uint8Array
  },
): Promise<Pick<Gateway, 'epochs' | 'tls' | 'sealed'>> {
  const { commons, receipts, random, log, buildDigest } = parts
  const { payment, attester, takeTurn, keysetShown } = commons
  const terms = {
    issuer: config.issuer,
    configDigest: digest,
    buildDigest,
    upstreams: listHosts(config),
    ...describePayment(payment),
  }
  const sealed = config.listen.sealed ? (commons.sealed ?? createSealedKeys()) : undefined
  const tls = config.listen.tls === undefined ? undefined : createTlsKeys()
  const epochs = await createEpochs(terms, attester, {
    nowMs: Date.now(),
    random,
    previousKeysetDigest: receipts.lastKeysetDigest(),
    plan: {
      tlsNames: config.listen.tls?.names,
      sealed: config.listen.sealed,
      settlement: payment.settlement,
    },
    ...(takeTurn === undefined ? {} : { takeTurn }),
    onEpoch: (epoch) => {
      receipts.putKeyset(epoch)
      if (epoch.hpke !== undefined) sealed?.replace(epoch.hpke)
    },
    onShow: (epoch) => {
      if (epoch.tls !== undefined) tls?.replace(epoch.tls)
      if (epoch.settlement === undefined) return
      const { address, others } = epoch.settlement
      if (keysetShown !== undefined) keysetShown({ address, others })
      else payment.chargeKeys?.shown(thisProcess, { address, others })
    },
    onError: (error) => {
      log.error({ err: error }, 'the next keyset could not be attested')
    },
  })
  return { epochs, tls, sealed }
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
