/**
 * Estimates the tokens of calls whose provider did not count them, by a tokenizer in a worker, so that no answer waits
 * for the text of another (spec/metering.md ME9.3, ME9.5).
 */
import type { ModelLimits } from './bound-price.ts'
import type { EstimateAnswer } from './estimate-job.ts'
import { createEstimateQueue } from './estimate-queue.ts'
import { applyRule } from './estimate-rule.ts'
import type { UsageEstimate } from './settle-usage.ts'

/** A call to estimate: the bytes that were forwarded, and those that came back, all or the first part. */
export type EstimateRequest = {
  readonly request: Uint8Array
  readonly answer: Uint8Array
  readonly isStream: boolean
  readonly limits: Pick<ModelLimits, 'tokensPerAttachment' | 'estimate'>
}

/** Owner of the worker. */
export type UsageEstimator = {
  /** Never rejects. `undefined` when there is no estimate: too long, too many at once, too slow, a fault. */
  estimate(request: EstimateRequest): Promise<UsageEstimate | undefined>
  close(): Promise<void>
}

/** Limits of an estimator. */
export type EstimatorOptions = {
  readonly maxJobBytes?: number
  /** Of all jobs that wait. */
  readonly maxWaitingBytes?: number
  readonly maxJobs?: number
  /** For one job, from the moment at which the worker gets it. A worker that starts has `startMs` more. */
  readonly timeoutMs?: number
  readonly startMs?: number
}

/** An estimator. Its worker starts with the first estimate, and anew after a fault. */
export function createUsageEstimator({
  maxJobBytes = 67_108_864,
  maxWaitingBytes = 134_217_728,
  maxJobs = 64,
  timeoutMs = 10_000,
  startMs = 20_000,
}: EstimatorOptions = {}): UsageEstimator {
  const queue = createEstimateQueue({ timeoutMs, startMs })
  let lastId = 0
  return {
    async estimate({ request, answer, isStream, limits }) {
      const sizeBytes = request.length + answer.length
      const { jobs, waitingBytes } = queue.size()
      const isTooMuch = sizeBytes > maxJobBytes || waitingBytes + sizeBytes > maxWaitingBytes
      if (isTooMuch || jobs >= maxJobs) return undefined
      // Copies of just these bytes: a view would take the whole buffer behind it along.
      const copies = { request: new Uint8Array(request), answer: new Uint8Array(answer) }
      const found = await queue.ask({ id: ++lastId, ...copies, isStream })
      return found === undefined ? undefined : toEstimate(found, limits)
    },
    close: () => queue.close(),
  }
}

function toEstimate(
  { input, outputTokens }: EstimateAnswer,
  { tokensPerAttachment, estimate }: EstimateRequest['limits'],
): UsageEstimate {
  return {
    input: applyRule(estimate, input) + input.attachments * tokensPerAttachment,
    output: applyRule(estimate, { tokens: outputTokens, messages: 0 }),
  }
}
