/** The chain as it stands now, brought back from disk whenever its anvil is gone. */

import { AnvilGone } from './anvil-rpc.ts'
import type { AnvilClient } from './anvil-rpc.ts'
import type { Head } from './anvil-state.ts'
import { ChainError } from './errors.ts'
import type { Genesis } from './genesis.ts'
import type { Journal } from './journal.ts'
import { raiseChain } from './recovery.ts'
import type { RaisedChain } from './recovery.ts'

/** What the owner of a standing chain gives it. */
export type StandingChainOptions = {
  readonly anvilBinary: string
  readonly directory: string
  readonly genesis: Genesis
  log(event: string, fields: Readonly<Record<string, string | number | boolean>>): void
  /** Awaited each time the chain was raised, before the next job of the queue. */
  onRaised(raised: RaisedChain): Promise<void>
  /** Called when anvil died by itself. */
  onDeath(): void
  /** Called when the chain cannot be raised: it is over. */
  onLost(reason: unknown): void
}

const MAX_ATTEMPTS = 3

/** Every method is called from the jobs of one queue, one at a time; only `current` may be read by others. */
export class StandingChain {
  readonly #options: StandingChainOptions
  #raised: RaisedChain | undefined
  #closed = false

  constructor(options: StandingChainOptions) {
    this.#options = options
  }

  /** The chain unless it is being raised. Its anvil may have died a moment ago. */
  get current(): RaisedChain | undefined {
    return this.#raised
  }

  /** The chain with a running anvil. @throws whatever keeps it from being raised. */
  async up(): Promise<RaisedChain> {
    if (this.#closed) throw new ChainError('chain-closed', 'the chain has stopped')
    if (this.#raised?.anvil.isRunning() === true) return this.#raised
    return this.restart()
  }

  /** Kills anvil and replays everything. The cure for every unanswered request: nobody knows what it did. */
  async restart(): Promise<RaisedChain> {
    await this.#discard()
    const startedMs = performance.now()
    const raised = await this.#raise()
    this.#raised = raised
    await this.#options.onRaised(raised)
    void this.#watch(raised)
    this.#options.log('chain up', {
      block: raised.head.number,
      replayed: raised.replayed,
      truncatedBytes: raised.truncatedBytes,
      ms: Math.round(performance.now() - startedMs),
    })
    return raised
  }

  /** Asks something that changes nothing, once more if anvil dies over it. */
  async ask<T>(question: (client: AnvilClient) => Promise<T>): Promise<T> {
    const { anvil } = await this.up()
    try {
      return await question(anvil.client)
    } catch (error) {
      if (!(error instanceof AnvilGone)) throw error
      return question((await this.restart()).anvil.client)
    }
  }

  /** Notes a new block or a new journal segment. */
  note(change: { readonly head: Head } | { readonly journal: Journal }): void {
    if (this.#raised !== undefined) this.#raised = { ...this.#raised, ...change }
  }

  /** Stops anvil and closes the journal. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#discard()
  }

  async #discard(): Promise<void> {
    const raised = this.#raised
    this.#raised = undefined
    if (raised === undefined) return
    await raised.anvil.stop()
    await raised.journal.close()
  }

  async #watch({ anvil }: RaisedChain): Promise<void> {
    await anvil.exited
    if (this.#raised?.anvil === anvil) this.#options.onDeath()
  }

  async #raise(): Promise<RaisedChain> {
    const { anvilBinary, directory, genesis } = this.#options
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await raiseChain(anvilBinary, directory, genesis)
      } catch (error) {
        const again = isDeath(error) && attempt < MAX_ATTEMPTS
        this.#options.log('chain not up', { attempt, again, error: String(error) })
        if (again) continue
        this.#options.onLost(error)
        throw error
      }
    }
  }
}

function isDeath(error: unknown): boolean {
  return (
    error instanceof AnvilGone || (error instanceof ChainError && error.code === 'anvil-failed')
  )
}
