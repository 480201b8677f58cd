/** Metrics of all processes together. What a worker counted until it was last asked stays when it is gone. */
import { renderSum, sumCounters, type MetricSnapshot } from '../metrics.ts'

/** Owner of the sums. `W` stands for a worker. */
export type SumMetrics<W> = {
  /** Asks everybody, and adds up. */
  render(
    own: readonly MetricSnapshot[],
    workers: ReadonlyMap<W, Promise<readonly MetricSnapshot[]>>,
  ): Promise<string>
  /** The worker is gone. */
  remove(worker: W): void
}

/** Nothing counted yet. */
export function createSumMetrics<W extends object>(): SumMetrics<W> {
  // Owned here: what each worker said last, and the workers that are gone, as one.
  const last = new Map<W, readonly MetricSnapshot[]>()
  const removed = new WeakSet<W>()
  let gone: Promise<readonly MetricSnapshot[]> = Promise.resolve([])
  return {
    render: async (own, workers) => {
      await Promise.all(
        Array.from(workers, async ([worker, asked]) => {
          try {
            const said = await asked
            if (!removed.has(worker)) last.set(worker, said)
          } catch {
            // It dies just now: what it said last counts.
          }
        }),
      )
      return await renderSum([own, await gone, ...last.values()])
    },
    remove: (worker) => {
      const said = last.get(worker)
      last.delete(worker)
      removed.add(worker)
      if (said !== undefined) gone = addGone(gone, said)
    },
  }
}

/** What cannot be added up is left out: figures to watch must not end the gateway. */
async function addGone(
  before: Promise<readonly MetricSnapshot[]>,
  said: readonly MetricSnapshot[],
): Promise<readonly MetricSnapshot[]> {
  const sum = await before
  return await sumCounters([sum, said]).catch(() => sum)
}
