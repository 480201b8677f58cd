/**
 * Bounds the tokens of calls whose provider did not count them, in a worker, so that no answer waits for the text of
 * another (spec/metering.md ME9.3).
 */
import { Worker } from 'node:worker_threads'
import type { ModelLimits } from './bound-price.ts'
import type { EstimateAnswer, EstimateJob } from './estimate-job.ts'
import type { UsageEstimate } from './settle-usage.ts'

/** A call to estimate: the bytes that were forwarded, and those that came back, all or the first part. */
export type EstimateRequest = {
  readonly request: Uint8Array
  readonly answer: Uint8Array
  readonly isStream: boolean
  readonly limits: Pick<ModelLimits, 'tokensPerAttachment'>
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
  readonly maxJobs?: number
  readonly timeoutMs?: number
}

type Waiting = (answer: EstimateAnswer | undefined) => void

/** An estimator. Its worker starts with the first estimate, and anew after a fault. */
export function createUsageEstimator({
  maxJobBytes = 67_108_864,
  maxJobs = 64,
  timeoutMs = 10_000,
}: EstimatorOptions = {}): UsageEstimator {
  // Owned by this estimator: the worker in use, and who waits for which answer.
  let worker: Worker | undefined
  let lastId = 0
  const waiting = new Map<number, Waiting>()

  function startWorker(): Worker {
    const started = new Worker(workerUrl, { resourceLimits: { maxOldGenerationSizeMb: 512 } })
    // A process that has nothing else to do may end.
    started.unref()
    started.on('message', (answer: EstimateAnswer) => waiting.get(answer.id)?.(answer))
    started.on('error', () => {
      dropWorker(started)
    })
    started.on('exit', () => {
      dropWorker(started)
    })
    return started
  }

  function dropWorker(dropped: Worker): void {
    if (worker !== dropped) return
    worker = undefined
    for (const settle of waiting.values()) settle(undefined)
  }

  function ask(job: EstimateJob): Promise<EstimateAnswer | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        // It hangs: the next job gets a new one.
        const hanging = worker
        if (hanging === undefined) {
          waiting.get(job.id)?.(undefined)
          return
        }
        dropWorker(hanging)
        void hanging.terminate()
      }, timeoutMs)
      waiting.set(job.id, (answer) => {
        clearTimeout(timer)
        waiting.delete(job.id)
        resolve(answer)
      })
      try {
        worker ??= startWorker()
        worker.postMessage(job, [job.request.buffer, job.answer.buffer])
      } catch {
        // No thread or no memory for it: nobody counted, and the bound is charged.
        waiting.get(job.id)?.(undefined)
      }
    })
  }

  return {
    async estimate({ request, answer, isStream, limits }) {
      const isTooMuch = request.length + answer.length > maxJobBytes || waiting.size >= maxJobs
      if (isTooMuch) return undefined
      // Copies of just these bytes: a view would take the whole buffer behind it along.
      const job = { request: new Uint8Array(request), answer: new Uint8Array(answer), isStream }
      const counted = await ask({ id: ++lastId, ...job })
      return counted === undefined ? undefined : toEstimate(counted, limits)
    },
    async close() {
      const closing = worker
      if (closing === undefined) return
      dropWorker(closing)
      await closing.terminate()
    },
  }
}

// Run as it is written, or as it was compiled.
const workerUrl = import.meta.url.endsWith('.ts')
  ? new URL('./estimate-worker.ts', import.meta.url)
  : new URL('./estimate-worker.js', import.meta.url)

function toEstimate(
  { inputBytes, attachments, outputBytes }: EstimateAnswer,
  { tokensPerAttachment }: Pick<ModelLimits, 'tokensPerAttachment'>,
): UsageEstimate {
  return {
    input: inputBytes + attachments * tokensPerAttachment,
    output: outputBytes,
  }
}
