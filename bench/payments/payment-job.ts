/** What the generator of paid calls is told to do, and what it reports. Both cross a process border as JSON. */
import type { LoadWindow, Percentiles } from '../gateway/load-job.ts'
import type { Shape } from '../gateway/wire.ts'

/** One channel that pays one call at a time, as stock clients do. */
export type JobChannel = {
  readonly channelId: string
  /** `channelConfig` of its payloads. */
  readonly config: Readonly<Record<string, unknown>>
  /** What it was charged so far. */
  readonly chargedAtomic: number
}

/** How calls are paid. */
export type JobPayment =
  /** With these headers, or none; every answer has this status. */
  | {
      readonly kind: 'same'
      readonly headers: Readonly<Record<string, string>>
      readonly status: 200 | 402
    }
  /** Each with a payment of its own, made before. */
  | {
      readonly kind: 'each'
      readonly payments: readonly string[]
      readonly amountAtomic: number | null
    }
  /** By vouchers, which are signed while the calls run. */
  | {
      readonly kind: 'voucher'
      readonly payerKey: string
      /** The offer for this request. */
      readonly accepted: { readonly amount: string }
      readonly channels: readonly JobChannel[]
      /** What each call costs. */
      readonly amountAtomic: number
      /** So many vouchers are signed before the first call; the others while calls run. */
      readonly signedBefore?: number
    }

/** One run. Each connection sends its next call when the answer to the last one is complete. */
export type PaymentJob = {
  readonly port: number
  readonly path: string
  readonly shape: Shape
  readonly modelName: string
  readonly payment: JobPayment
  readonly connections: number
  /** Calls are sent at this rate, and their latency counts from when they were due; `null`: as fast as answers come. */
  readonly ratePerSecond: number | null
  readonly warmUpMs: number
  /** The warm-up goes on until so many calls were answered: each channel has been used then. */
  readonly warmUpCalls: number
  /** A window goes on until it has enough calls. */
  readonly windowMs: number
  readonly windows: number
  readonly pids: readonly number[]
  readonly hasReceipts: boolean
}

/** What was seen. A run of payments made before ends when they are used up, and has one window. */
export type PaymentResult = {
  readonly windows: readonly LoadWindow[]
  /** Of the whole run: the warm-up, and what ended after the windows, included. */
  readonly calls: number
  readonly receipts: number
  readonly chargedAtomic: number
  readonly faults: number
  readonly firstFault: string | null
  readonly latency: Percentiles
  /** To the first byte of the answer. */
  readonly firstByte: Percentiles
  /** What each channel was charged in the end, in the order of the job. */
  readonly channels: readonly number[]
}
