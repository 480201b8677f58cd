/** Whose turn it is to use the settlement key: one after the other, and last what has time (spec/payment.md PA31.3). */
import type { Address } from 'viem'
import { createPayerTurns } from './payer-turns.ts'

/** Others come first, and nothing was signed. */
export class SenderBusy extends Error {
  constructor() {
    super('other transactions come first')
    this.name = 'SenderBusy'
  }
}

/** The line of one key. */
export type SenderTurns = {
  /** Runs work that sends. `yields`: rejects with SenderBusy, when its turn comes, while other work that sends waits. */
  send<T>(work: () => Promise<T>, yields: boolean): Promise<T>
  /** Runs other work in turn. */
  run<T>(work: () => Promise<T>): Promise<T>
}

/** @param refuse makes the error for a line that is too long. */
export function createSenderTurns(address: Address, refuse: () => Error): SenderTurns {
  const turns = createPayerTurns()
  // Sends that do not yield and have not ended; owned by `send`.
  let waiting = 0
  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    const result = await turns.run(address, async () => ({ value: await work() }))
    if (result === undefined) throw refuse()
    return result.value
  }
  return {
    run,
    send: async (work, yields) => {
      if (yields) {
        return run(async () => {
          if (waiting > 0) throw new SenderBusy()
          return work()
        })
      }
      waiting++
      try {
        return await run(work)
      } finally {
        waiting--
      }
    },
  }
}
