/**
 * The embedded chain: anvil, driven so that no crash is visible. One writer takes everything that changes the chain
 * through one queue: check, journal (fdatasync), anvil, answer. Whatever dies, the journal rebuilds the same blocks.
 */

import { mkdir, realpath } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { AnvilGone } from './anvil-rpc.ts'
import type { AnvilClient } from './anvil-rpc.ts'
import { killStaleAnvil } from './anvil-process.ts'
import {
  countPooled,
  holdsTransaction,
  isUnmined,
  mineBlock,
  offerTransaction,
  readAccount,
  readHead,
} from './anvil-state.ts'
import { ChainError } from './errors.ts'
import { blockGasLimit, prepareGenesis } from './genesis.ts'
import type { Genesis, GenesisBalances } from './genesis.ts'
import { startSegment } from './journal.ts'
import { lockDirectory } from './lock.ts'
import type { DirectoryLock } from './lock.ts'
import { PendingPool } from './pending-pool.ts'
import { raiseChain, writeSnapshot } from './recovery.ts'
import type { RaisedChain } from './recovery.ts'
import { SerialQueue } from './serial-queue.ts'
import { parseSignedTransaction } from './signed-transaction.ts'
import type { SignedTransaction } from './signed-transaction.ts'

/** What to run and where. */
export type ChainOptions = {
  /** Data directory; created when missing. One process at a time. */
  readonly directory: string
  /** Used only when the directory is new. */
  readonly balances: GenesisBalances
  readonly anvilBinary: string
  /** Journal records between two snapshots; more once the snapshot is large. */
  readonly snapshotEveryRecords: number
  /** Longest time without a block, so that time-outs on the chain run. */
  readonly heartbeatMs: number
}

/** The outside world of the chain. */
export type ChainEnvironment = {
  nowMs(): number
  log(event: string, fields: Readonly<Record<string, string | number | boolean>>): void
}

/** A running embedded chain. */
export type EmbeddedChain = {
  /**
   * Accepts a signed transaction and returns its hash once it is durable and in the pool. The same transaction
   * again is success.
   *
   * @throws ChainError, AnvilRefusal
   */
  send(raw: unknown): Promise<`0x${string}`>
  /** Asks anvil. The caller passes only methods that change nothing. */
  read(method: string, params: readonly unknown[]): Promise<unknown>
  /** Resolves with the reason when the chain cannot go on. Data on disk is safe; start again to recover. */
  readonly failed: Promise<unknown>
  /** Finishes what is being written and stops anvil. */
  close(): Promise<void>
}

const MAX_QUEUE = 1000
const MAX_RAISE_ATTEMPTS = 3
const ONE_SECOND_MS = 1000
const SNAPSHOT_BYTES_PER_RECORD = 16_384

/**
 * Starts the chain of a data directory, or recovers it.
 *
 * @throws ChainError when the directory is in use, damaged, or anvil does not start.
 */
export async function startChain(
  options: ChainOptions,
  environment: ChainEnvironment,
): Promise<EmbeddedChain> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 })
  const directory = await realpath(options.directory)
  const lock = lockDirectory(directory)
  try {
    killStaleAnvil(directory)
    const genesis = await prepareGenesis(directory, options.balances, environment.nowMs())
    const chain = new Chain({ ...options, directory }, environment, genesis, lock)
    await chain.start()
    return chain
  } catch (error) {
    lock.release()
    throw error
  }
}

class Chain implements EmbeddedChain {
  readonly failed: Promise<unknown>
  readonly #options: ChainOptions
  readonly #environment: ChainEnvironment
  readonly #genesis: Genesis
  readonly #lock: DirectoryLock
  readonly #queue = new SerialQueue(MAX_QUEUE)
  readonly #reportFailure: (reason: unknown) => void
  // Owned by the jobs of the queue.
  readonly #pool = new PendingPool()
  #raised: RaisedChain | undefined
  #recordsSinceSnapshot = 0
  #snapshotBytes = 0
  // Owned by the scheduler functions.
  #timer: NodeJS.Timeout | undefined
  #mineSoonScheduled = false
  // Owned by close: set once.
  #stopped = false
  #ended: Promise<void> | undefined

  constructor(
    options: ChainOptions,
    environment: ChainEnvironment,
    genesis: Genesis,
    lock: DirectoryLock,
  ) {
    this.#options = options
    this.#environment = environment
    this.#genesis = genesis
    this.#lock = lock
    let report: (reason: unknown) => void = () => undefined
    this.failed = new Promise((resolve) => {
      report = resolve
    })
    this.#reportFailure = report
  }

  async start(): Promise<void> {
    await this.#raise()
  }

  async send(raw: unknown): Promise<`0x${string}`> {
    const transaction = await parseSignedTransaction(raw)
    return this.#queue.run(() => this.#accept(transaction))
  }

  async read(method: string, params: readonly unknown[]): Promise<unknown> {
    const { anvil } = this.#raised ?? (await this.#queue.run(() => this.#up()))
    try {
      return await anvil.client.call(method, params)
    } catch (error) {
      if (!(error instanceof AnvilGone)) throw error
      // A broken connection is noticed before the death that broke it.
      await Promise.race([anvil.exited, delay(ONE_SECOND_MS, undefined, { ref: false })])
      if (anvil.isRunning()) throw error
    }
    const again = await this.#queue.run(() => this.#up())
    return again.anvil.client.call(method, params)
  }

  close(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#ended ??= this.#queue.idle().then(async () => {
      await this.#discard()
      this.#lock.release()
    })
    return this.#ended
  }

  /** Check, journal, anvil, answer: the order that makes an acknowledged transaction permanent. */
  async #accept(transaction: SignedTransaction): Promise<`0x${string}`> {
    if (await this.#isKnown(transaction)) return transaction.hash
    const { anvil, journal } = await this.#up()
    await this.#write(() => journal.append({ kind: 'transaction', raw: transaction.raw }))
    // A crash from here on: the record is replayed, though the sender may not have been told.
    let refusal: unknown
    try {
      await offerTransaction(anvil.client, transaction.raw)
    } catch (error) {
      refusal = error
      if (error instanceof AnvilGone) await this.#restart()
    }
    if (refusal !== undefined) {
      const held = await this.#ask((client) => holdsTransaction(client, transaction.hash))
      if (!held) throw new ChainError('transaction-refused', 'by anvil', { cause: refusal })
    }
    this.#pool.add(transaction)
    this.#mineSoon()
    return transaction.hash
  }

  /** Refuses what could not be mined next, so that the journal holds only what somebody pays for. */
  async #isKnown(transaction: SignedTransaction): Promise<boolean> {
    const account = await this.#ask((client) => readAccount(client, transaction.sender))
    const { count, costWei } = this.#pool.of(transaction.sender)
    const nextNonce = account.nonce + count
    if (transaction.nonce < nextNonce) {
      if (await this.#ask((client) => holdsTransaction(client, transaction.hash))) return true
      throw refused(`nonce too low: next is ${nextNonce}`)
    }
    if (transaction.nonce > nextNonce) throw refused(`nonce too high: next is ${nextNonce}`)
    if (account.balanceWei < costWei + transaction.maxCostWei) throw refused('insufficient funds')
    const { head } = await this.#up()
    if (transaction.maxFeePerGasWei < head.nextBaseFeeWei) {
      throw refused(`max fee per gas below the base fee ${head.nextBaseFeeWei}`)
    }
    if (this.#pool.gas + transaction.gas > blockGasLimit) {
      throw new ChainError('chain-busy', 'the next block is full')
    }
    return false
  }

  async #mine(): Promise<void> {
    this.#mineSoonScheduled = false
    const { anvil, journal, head } = await this.#up()
    const nowSeconds = Math.floor(this.#environment.nowMs() / 1000)
    const timestampSeconds = Math.max(nowSeconds, head.timestampSeconds + 1)
    await this.#write(() => journal.append({ kind: 'block', timestampSeconds }))
    try {
      await mineBlock(anvil.client, timestampSeconds)
      await this.#noteBlock()
    } catch (error) {
      if (!(error instanceof AnvilGone)) throw error
      await this.#restart()
    }
    if (this.#pool.size > 0) this.#mineSoon()
    if (!this.#mineSoonScheduled) this.#schedule(this.#options.heartbeatMs)
  }

  /** After a block the pool is empty, because admission lets no more in than one block holds. */
  async #noteBlock(): Promise<void> {
    const raised = await this.#up()
    const { client } = raised.anvil
    const head = await readHead(client)
    this.#raised = { ...raised, head }
    if ((await countPooled(client)) > 0) {
      const unmined = await selectAsync(this.#pool.list(), ({ hash }) => isUnmined(client, hash))
      this.#environment.log('left out of a block', { block: head.number, count: unmined.length })
      this.#pool.replace(unmined)
      return
    }
    this.#pool.replace([])
    const due = this.#snapshotBytes / SNAPSHOT_BYTES_PER_RECORD
    if (this.#recordsSinceSnapshot < Math.max(this.#options.snapshotEveryRecords, due)) return
    this.#recordsSinceSnapshot = 0
    const sizeBytes = await this.#writeSnapshot(client)
    if (sizeBytes === undefined) return
    this.#snapshotBytes = sizeBytes
    const journal = await startSegment(this.#options.directory, head.number)
    this.#raised = { ...raised, head, journal }
    await raised.journal.close()
  }

  /** Without a new snapshot (disk full) the old one and the longer journal say the same. */
  async #writeSnapshot(client: AnvilClient): Promise<number | undefined> {
    try {
      return await writeSnapshot(client, this.#options.directory)
    } catch (error) {
      if (error instanceof AnvilGone) throw error
      this.#environment.log('no snapshot', { error: String(error) })
      return undefined
    }
  }

  /** Asks anvil something that changes nothing, again if anvil dies over it. */
  async #ask<T>(question: (client: AnvilClient) => Promise<T>): Promise<T> {
    const { anvil } = await this.#up()
    try {
      return await question(anvil.client)
    } catch (error) {
      if (!(error instanceof AnvilGone)) throw error
      await this.#restart()
    }
    return question((await this.#up()).anvil.client)
  }

  /** A journal that cannot be written ends the chain: nothing may be accepted that is not durable. */
  async #write(append: () => Promise<void>): Promise<void> {
    try {
      await append()
      this.#recordsSinceSnapshot += 1
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  async #up(): Promise<RaisedChain> {
    if (this.#stopped) throw new ChainError('chain-closed', 'the chain has stopped')
    if (this.#raised?.anvil.isRunning() === true) return this.#raised
    return this.#restart()
  }

  async #restart(): Promise<RaisedChain> {
    await this.#discard()
    return this.#raise()
  }

  async #discard(): Promise<void> {
    const raised = this.#raised
    this.#raised = undefined
    if (raised === undefined) return
    await raised.anvil.stop()
    await raised.journal.close()
  }

  async #raise(): Promise<RaisedChain> {
    const startedMs = performance.now()
    const raised = await this.#tryToRaise()
    const transactions = await Promise.all(raised.pending.map(parseSignedTransaction))
    this.#pool.replace(transactions)
    this.#raised = raised
    this.#recordsSinceSnapshot = raised.replayed
    void raised.anvil.exited.then(() => this.#recoverAfterDeath(raised))
    this.#environment.log('chain up', {
      block: raised.head.number,
      replayed: raised.replayed,
      truncatedBytes: raised.truncatedBytes,
      ms: Math.round(performance.now() - startedMs),
    })
    // Until a block is mined, calls on the pending state see the clock of the last one.
    this.#mineSoon()
    return raised
  }

  async #tryToRaise(): Promise<RaisedChain> {
    const { anvilBinary, directory } = this.#options
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await raiseChain(anvilBinary, directory, this.#genesis)
      } catch (error) {
        const again = error instanceof AnvilGone && attempt < MAX_RAISE_ATTEMPTS
        this.#environment.log('chain not up', { attempt, again, error: String(error) })
        if (again) continue
        this.#fail(error)
        throw error
      }
    }
  }

  async #recoverAfterDeath(dead: RaisedChain): Promise<void> {
    if (this.#stopped || this.#raised?.anvil !== dead.anvil) return
    this.#environment.log('anvil died', { pid: dead.anvil.pid })
    try {
      await this.#queue.run(() => this.#up())
    } catch (error) {
      this.#environment.log('recovery waits', { error: String(error) })
    }
  }

  /** Mines as soon as the clock allows a new timestamp, so that chain time does not run ahead of real time. */
  #mineSoon(): void {
    if (this.#mineSoonScheduled) return
    this.#mineSoonScheduled = true
    const last = this.#raised?.head.timestampSeconds ?? 0
    const waitMs = (last + 1) * 1000 - this.#environment.nowMs()
    this.#schedule(Math.min(Math.max(waitMs, 0), ONE_SECOND_MS))
  }

  #schedule(waitMs: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      this.#queue.run(() => this.#mine()).catch((error: unknown) => this.#mineFailed(error))
    }, waitMs)
  }

  #mineFailed(error: unknown): void {
    if (this.#stopped) return
    if (error instanceof ChainError && error.code === 'chain-busy') {
      this.#mineSoonScheduled = false
      this.#schedule(ONE_SECOND_MS)
      return
    }
    this.#fail(error)
  }

  #fail(reason: unknown): void {
    if (this.#stopped) return
    this.#environment.log('chain failed', { error: String(reason) })
    this.#reportFailure(reason)
    // Not awaited: we may be inside the job that close waits for.
    void this.close()
  }
}

async function selectAsync<T>(
  items: readonly T[],
  test: (item: T) => Promise<boolean>,
): Promise<T[]> {
  const selected = await Promise.all(items.map(async (item) => ((await test(item)) ? [item] : [])))
  return selected.flat()
}

function refused(detail: string): ChainError {
  return new ChainError('transaction-refused', detail)
}
