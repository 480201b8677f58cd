/** One worker that gets one job after the other; a fault loses the job that it had, and no other (spec/metering.md ME9.5). */
import { Worker } from 'node:worker_threads'
import type { EstimateAnswer, EstimateJob } from './estimate-job.ts'

/** Owner of the worker. */
export type EstimateQueue = {
  /** Jobs that wait or run, and bytes of those that wait. */
  size(): { readonly jobs: number; readonly waitingBytes: number }
  /** Never rejects; `undefined` when the worker failed or took too long. */
  ask(job: EstimateJob): Promise<EstimateAnswer | undefined>
  close(): Promise<void>
}

/** How long a job may take. A worker that starts has `startMs` more. */
export type QueueTimes = { readonly timeoutMs: number; readonly startMs: number }

type Settle = (answer: EstimateAnswer | undefined) => void
type Waiting = { readonly job: EstimateJob; readonly settle: Settle }
type Running = { readonly id: number; readonly settle: Settle; readonly timer: NodeJS.Timeout }

/** A queue without a worker: it starts with the first job, and anew after a fault. */
export function createEstimateQueue({ timeoutMs, startMs }: QueueTimes): EstimateQueue {
  // Owned by this queue: the worker in use, the job that it has, those that wait for it.
  let worker: Worker | undefined
  let running: Running | undefined
  let waiting: Waiting[] = []

  function startWorker(): Worker {
    const started = new Worker(workerUrl, { resourceLimits: { maxOldGenerationSizeMb: 512 } })
    // A process that has nothing else to do may end.
    started.unref()
    started.on('message', (answer: EstimateAnswer) => {
      if (answer.id === running?.id) finish(answer)
    })
    for (const event of ['error', 'exit'] as const) {
      started.on(event, () => {
        dropWorker(started)
      })
    }
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
    size: () => ({
      jobs: waiting.length + (running === undefined ? 0 : 1),
      waitingBytes: waiting.reduce((sum, { job }) => sum + sizeOf(job), 0),
    }),
    ask: (job) =>
      new Promise((settle) => {
        waiting.push({ job, settle })
        startNext()
      }),
    async close() {
      const closing = worker
      const left = waiting
      waiting = []
      worker = undefined
      finish(undefined)
      for (const { settle } of left) settle(undefined)
      await closing?.terminate()
    },
  }
}

function sizeOf({ request, answer }: EstimateJob): number {
  return request.length + answer.length
}

// Run as it is written, or as it was compiled.
const workerUrl = import.meta.url.endsWith('.ts')
  ? new URL('./estimate-worker.ts', import.meta.url)
  : new URL('./estimate-worker.js', import.meta.url)
