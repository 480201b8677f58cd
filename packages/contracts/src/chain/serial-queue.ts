/** Jobs one after the other, with a bound on how many may wait. */

import { ChainError } from './errors.ts'

/** Runs jobs strictly in the order of `run`; a failing job does not stop the next. */
export class SerialQueue {
  readonly #limit: number
  /** Owned by run. */
  #waiting = 0
  /** Owned by run: settles when the last job so far has settled; never rejects. */
  #tail: Promise<unknown> = Promise.resolve()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** @throws ChainError `chain-busy` when too many jobs wait, else whatever the job throws. */
  run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#waiting >= this.#limit) {
      return Promise.reject(new ChainError('chain-busy', `${this.#limit} requests are waiting`))
    }
    this.#waiting += 1
    const result = this.#tail.then(job).finally(() => {
      this.#waiting -= 1
    })
    this.#tail = result.catch(() => undefined)
    return result
  }

  /** Resolves when every job given so far has settled. */
  async idle(): Promise<void> {
    await this.#tail
  }
}
