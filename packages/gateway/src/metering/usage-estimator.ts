/**
 * Estimates the tokens of calls whose provider did not count them, by a tokenizer in a worker, so that no answer waits
 * for the text of another (spec/metering.md ME9.3, ME9.5).
 */
import { Worker } from 'node:worker_threads'
import type { ModelLimits } from './bound-price.ts'
import type { EstimateAnswer, EstimateJob } from './estimate-job.ts'
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

type Settle = (answer: EstimateAnswer | undefined) => void
type Waiting = { readonly job: EstimateJob; readonly sizeBytes: number; readonly settle: Settle }
type Running = { readonly id: number; readonly settle: Settle; readonly timer: NodeJS.Timeout }

/** An estimator. Its worker starts with the first estimate, and anew after a fault. */
export function createUsageEstimator({
  maxJobBytes = 67_108_864,
  maxWaitingBytes = 134_217_728,
  maxJobs = 64,
  timeoutMs = 10_000,
  startMs = 20_000,
}: EstimatorOptions = {}): UsageEstimator {
  // Owned by this estimator: the worker in use, the job that it has, those that wait for it.
  let worker: Worker | undefined
  let running: Running | undefined
  let waiting: Waiting[] = []
  let waitingBytes = 0
  let lastId = 0

  function startWorker(): Worker {
    const started = new Worker(workerUrl, { resourceLimits: { maxOldGenerationSizeMb: 512 } })
    // A process that has nothing else to do may end.
    started.unref()
    started.on('message', (answer: EstimateAnswer) => {
      if (answer.id === running?.id) finish(answer)
    })
    started.on('error', () => {
      dropWorker(started)
    })
    started.on('exit', () => {
      dropWorker(started)
    })
    return started
  }

  /** Only the job that it had is lost: the others go to the next worker. */
  function dropWorker(dropped: Worker | undefined): void {
    if (dropped === undefined || worker !== dropped) return
    worker = undefined
    void dropped.terminate()
    finish(undefined)
  }

  function finish(answer: EstimateAnswer | undefined): void {
    const finished = running
    if (finished === undefined) return
    running = undefined
    clearTimeout(finished.timer)
    finished.settle(answer)
    startNext()
  }

  function startNext(): void {
    const next = running === undefined ? waiting.shift() : undefined
    if (next === undefined) return
    waitingBytes -= next.sizeBytes
    const { job, settle } = next
    const limitMs = worker === undefined ? startMs + timeoutMs : timeoutMs
    const timer = setTimeout(() => {
      dropWorker(worker)
    }, limitMs)
    running = { id: job.id, settle, timer }
    try {
      worker ??= startWorker()
      worker.postMessage(job, [job.request.buffer, job.answer.buffer])
    } catch {
      // No thread or no memory for it: nobody counted, and the bound is charged.
      finish(undefined)
    }
  }

  return {
    async estimate({ request, answer, isStream, limits }) {
      const sizeBytes = request.length + answer.length
      const isTooMuch = sizeBytes > maxJobBytes || waitingBytes + sizeBytes > maxWaitingBytes
      const jobs = waiting.length + (running === undefined ? 0 : 1)
      if (isTooMuch || jobs >= maxJobs) return undefined
      // Copies of just these bytes: a view would take the whole buffer behind it along.
      const copies = { request: new Uint8Array(request), answer: new Uint8Array(answer) }
      const job = { id: ++lastId, ...copies, isStream }
      const found = await new Promise<EstimateAnswer | undefined>((settle) => {
        waiting.push({ job, sizeBytes, settle })
        waitingBytes += sizeBytes
        startNext()
      })
      return found === undefined ? undefined : toEstimate(found, limits)
    },
    async close() {
      const closing = worker
      const left = waiting
      waiting = []
      waitingBytes = 0
      worker = undefined
      finish(undefined)
      for (const { settle } of left) settle(undefined)
      await closing?.terminate()
    },
  }
}

// Run as it is written, or as it was compiled.
const workerUrl = import.meta.url.endsWith('.ts')
  ? new URL('./estimate-worker.ts', import.meta.url)
  : new URL('./estimate-worker.js', import.meta.url)

function toEstimate(
  { input, outputTokens }: EstimateAnswer,
  { tokensPerAttachment, estimate }: EstimateRequest['limits'],
): UsageEstimate {
  return {
    input: applyRule(estimate, input) + input.attachments * tokensPerAttachment,
    output: applyRule(estimate, { tokens: outputTokens, messages: 0 }),
  }
}
