/** One admission at a time for each payer, so that a balance is not promised twice (F4). */
import type { Address } from 'viem'

/** Runs work in turn, by payer. */
export type PayerTurns = {
  /** The result of the work, or `undefined` when too many are waiting for this payer. */
  run<T>(payer: Address, work: () => Promise<T>): Promise<T | undefined>
}

const maxWaiting = 1000

/** Turns for any number of payers; a payer without work takes no memory. */
export function createPayerTurns(): PayerTurns {
  const lines = new Map<Address, { last: Promise<unknown>; waiting: number }>()
  return {
    run: async (payer, work) => {
      const line = lines.get(payer) ?? { last: Promise.resolve(), waiting: 0 }
      if (line.waiting >= maxWaiting) return undefined
      lines.set(payer, line)
      line.waiting++
      const turn = line.last.then(work)
      line.last = turn.catch(() => undefined)
      try {
        return await turn
      } finally {
        line.waiting--
        if (line.waiting === 0) lines.delete(payer)
      }
    },
  }
}
