/** What the steps of a call share. Made in create-gateway.ts. */
import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import type { FindCaller } from '../http/caller-address.ts'
import type { Epochs } from '../keys/epochs.ts'
import type { SealedKeys } from '../keys/sealed-keys.ts'
import type { TlsKeys } from '../keys/tls-keys.ts'
import type { PayerLimits } from '../limits/payer-limits.ts'
import type { UsageEstimator } from '../metering/usage-estimator.ts'
import type { OwnerStore } from '../references/owner-store.ts'
import type { RandomBytes } from '../keys/random-pool.ts'
import type { Metrics } from '../metrics.ts'
import type { PaymentScheme } from '../payment/admission.ts'
import type { CollectState } from '../payment/collect/collect-status.ts'
import type { Announcer } from '../payment/charge-key/announcer.ts'
import type { ChargeKeys } from '../payment/charge-key/charge-keys.ts'
import type { RefundDesk } from '../payment/metered/refund-desk.ts'
import type { OpenGradientProfile } from '../profiles/open-gradient-signer.ts'
import type { ReceiptStore, StoredReceipt } from '../receipts/receipt-store.ts'
import type { SpanExporter } from '../telemetry/otlp-exporter.ts'
import type { UpstreamAnswerStore } from '../receipts/upstream-answer-store.ts'
import type { Translator } from '../translation/translator.ts'
import type { Upstreams } from '../upstream/upstreams.ts'
import type { AnswerCache, KeptAnswer } from './answer-cache.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { PendingCalls } from './pending-calls.ts'
import type { Turns } from './turns.ts'

/** Where traces go, and how many. */
export type Telemetry = { readonly exporter: SpanExporter; readonly samplePercent: number }

/** What the other processes of a gateway know, where it has several (workers/). */
export type Siblings = {
  /** A receipt that is not on the disk yet; waits for the end of its call. */
  findReceipt(id: string, waitMs: number): Promise<StoredReceipt | undefined>
  /** An answer that is kept for its caller. */
  findAnswer(receiptId: string, waitMs: number): Promise<KeptAnswer | undefined>
  /** Metrics of all processes together. */
  renderMetrics(): Promise<string>
}

/** The running gateway. */
export type Gateway = {
  readonly config: Config
  readonly upstreams: Upstreams
  readonly payment: PaymentScheme
  readonly refunds: RefundDesk | undefined
  /** Charges that are not on chain yet. */
  readonly unsettled: () => { readonly payments: number; readonly channels: number }
  /** Whether the operator gets what was paid (PA31.6); `undefined` where nothing is collected by itself. */
  readonly collecting: () => CollectState | undefined
  /** `undefined` without metered schemes, and where they are another process's. */
  readonly chargeKeys: ChargeKeys | undefined
  /** Has keysets opened that name them; likewise. Set once, by who makes the gateway. */
  announcer: Announcer | undefined
  /** False while metered calls would be sold by a charge key that the registry does not trust (PA28.3). */
  readonly isSelling: () => boolean
  /** What `GET /v1/terms` answers; `undefined` where no operator is announced. */
  readonly terms: Uint8Array | undefined
  readonly epochs: Epochs
  /** The key that ends TLS, renewed with each epoch; `undefined` when TLS ends somewhere else. */
  readonly tls: TlsKeys | undefined
  /** The keys of sealed calls; `undefined` when none are taken. */
  readonly sealed: SealedKeys | undefined
  readonly receipts: ReceiptStore
  /** Who made what is kept at providers. */
  readonly references: OwnerStore
  readonly estimator: UsageEstimator
  readonly answers: AnswerCache
  /** `undefined` unless the configuration switches it on. */
  readonly openGradient: OpenGradientProfile | undefined
  /** Between wires; `undefined` when no model is translated. */
  readonly translator: Translator | undefined
  /** The providers' bytes of translated calls; `undefined` when none are kept. */
  readonly upstreamAnswers: UpstreamAnswerStore | undefined
  readonly pending: PendingCalls
  readonly turns: Turns
  /** `undefined` when this process is alone. */
  readonly siblings: Siblings | undefined
  readonly payerLimits: PayerLimits
  /** From where a call comes. */
  readonly findCaller: FindCaller
  /** What the request bodies of all calls under way take. */
  readonly requestMemory: MemoryBudget
  readonly metrics: Metrics
  /** `undefined`: no traces. */
  readonly telemetry: Telemetry | undefined
  readonly log: Logger
  readonly random: RandomBytes
  readonly nowMs: () => number
  /** SHA-256 of the price sheet: every model with its price. */
  readonly priceSheetDigest: Uint8Array
}

/** A gateway that waits to take the place of another one. One of the two is called, once. */
export type Succession = {
  /** The new one is the current one: its keyset is shown, its charge keys are used. */
  readonly adopt: () => Gateway
  /** It never will be. The old one goes on. */
  readonly drop: () => Promise<void>
}
