/** What the load generator is told to do, and what it reports. Both cross a process border as JSON. */
import type { Shape } from './wire.ts'

/** One closed loop: each connection sends its next request when the answer to the last one is complete. */
export type LoadJob = {
  readonly port: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly shape: Shape
  readonly connections: number
  /** Connections begin spread over this time. */
  readonly spreadMs: number
  readonly warmUpMs: number
  /** The warm-up goes on until so many answers have come, for at most four times its time: compilers count calls. */
  readonly warmUpRequests: number
  readonly windowMs: number
  readonly windows: number
  /** Processes whose CPU time is measured, with their children. */
  readonly pids: readonly number[]
  /** Whether every answer must carry a signed statement, or none may. */
  readonly hasReceipts: boolean
}

/** One window of measurement. */
export type LoadWindow = {
  readonly requests: number
  readonly elapsedMs: number
  /** CPU time of the measured processes. */
  readonly cpuUs: number
}

/** Percentiles in microseconds. */
export type Percentiles = { readonly count: number; readonly p50Us: number; readonly p99Us: number }

/** What was seen in all windows together. */
export type LoadResult = {
  readonly windows: readonly LoadWindow[]
  readonly requests: number
  readonly events: number
  readonly receipts: number
  /** Faults in the whole run, the warm-up included; the first one in words. */
  readonly faults: number
  readonly firstFault: string | null
  /** From sending a request to the end of its answer. */
  readonly latency: Percentiles
  /** From the stamp in an event to its arrival. */
  readonly lag: Percentiles
  readonly lastReceipt: { readonly id: string; readonly token: string } | null
}

/** Percentiles of samples, which are sorted in place. */
export function toPercentiles(samples: number[]): Percentiles {
  samples.sort((a, b) => a - b)
  const at = (share: number): number => samples[Math.floor((samples.length - 1) * share)] ?? 0
  return { count: samples.length, p50Us: at(0.5), p99Us: at(0.99) }
}
