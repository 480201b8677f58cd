/**
 * The embedded chain: anvil, driven so that no crash is visible. One writer takes everything that changes the chain
 * through one queue: check, journal (fdatasync), anvil, answer. Whatever dies, the journal rebuilds the same blocks.
 */

import { once } from 'node:events'
import { mkdir, realpath } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { admit } from './admission.ts'
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
import { BlockTimer } from './block-timer.ts'
import { ChainError } from './errors.ts'
import { prepareGenesis } from './genesis.ts'
import type { Genesis } from './genesis.ts'
import type { GenesisBalances } from './genesis-balances.ts'
import { startSegment } from './journal.ts'
import type { Journal, JournalRecord } from './journal.ts'
import { lockDirectory } from './lock.ts'
import type { DirectoryLock } from './lock.ts'
import { PendingPool } from './pending-pool.ts'
import { writeSnapshot } from './recovery.ts'
import type { RaisedChain } from './recovery.ts'
import { SerialQueue } from './serial-queue.ts'
import { StandingChain } from './standing-chain.ts'
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
    await Promise.all([chain.start(), import('./signed-transaction.ts')])
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
  readonly #lock: DirectoryLock
  readonly #queue = new SerialQueue(MAX_QUEUE)
  readonly #failure = new AbortController()
  readonly #timer: BlockTimer
  readonly #standing: StandingChain
  // Owned by the jobs of the queue.
  readonly #pool = new PendingPool()
  #recordsSinceSnapshot = 0
  #snapshotBytes = 0
  // Owned by close: set once.
  #ended: Promise<void> | undefined

  constructor(
    options: ChainOptions,
    environment: ChainEnvironment,
    genesis: Genesis,
    lock: DirectoryLock,
  ) {
    this.#options = options
    this.#environment = environment
    this.#lock = lock
    const { signal } = this.#failure
    this.failed = once(signal, 'abort').then((): unknown => signal.reason)
    this.#timer = new BlockTimer(
      () => this.#supervise(() => this.#mine()),
      () => environment.nowMs(),
    )
    this.#standing = new StandingChain({
      anvilBinary: options.anvilBinary,
      directory: options.directory,
      genesis,
      log: (event, fields) => environment.log(event, fields),
      onRaised: (raised) => this.#noteRaised(raised),
      onDeath: () => {
        environment.log('anvil died', {})
        this.#supervise(() => this.#standing.up())
      },
      onLost: (reason) => this.#fail(reason),
    })
  }

  async start(): Promise<void> {
    await this.#queue.run(() => this.#standing.up())
  }

  async send(raw: unknown): Promise<`0x${string}`> {
    const transaction = await parse(raw)
    return this.#queue.run(() => this.#accept(transaction))
  }

  async read(method: string, params: readonly unknown[]): Promise<unknown> {
    const { anvil } = this.#standing.current ?? (await this.#queue.run(() => this.#standing.up()))
    try {
      return await anvil.client.call(method, params)
    } catch (error) {
      if (!(error instanceof AnvilGone)) throw error
      // A broken connection is noticed before the death that broke it.
      await Promise.race([anvil.exited, delay(ONE_SECOND_MS, undefined, { ref: false })])
      if (anvil.isRunning()) throw error
    }
    const again = await this.#queue.run(() => this.#standing.up())
    return again.anvil.client.call(method, params)
  }

  close(): Promise<void> {
    this.#ended ??= this.#end()
    return this.#ended
  }

  async #end(): Promise<void> {
    this.#timer.stop()
    await this.#queue.idle()
    await this.#standing.close()
    this.#lock.release()
  }

  /** Check, journal, anvil, answer: the order that makes an acknowledged transaction permanent. */
  async #accept(transaction: SignedTransaction): Promise<`0x${string}`> {
    if (await this.#isKnown(transaction)) return transaction.hash
    const { anvil, journal } = await this.#standing.up()
    await this.#write(journal, { kind: 'transaction', raw: transaction.raw })
    // A crash from here on: the record is replayed, though the sender may not have been told.
    let refusal: unknown
    try {
      await offerTransaction(anvil.client, transaction.raw)
    } catch (error) {
      refusal = error
      if (error instanceof AnvilGone) await this.#standing.restart()
    }
    if (refusal !== undefined) {
      const held = await this.#standing.ask((client) => holdsTransaction(client, transaction.hash))
      if (!held) throw new ChainError('transaction-refused', 'by anvil', { cause: refusal })
    }
    this.#pool.add(transaction)
    this.#timer.soon(this.#standing.current?.head.timestampSeconds ?? 0)
    return transaction.hash
  }

  async #isKnown(transaction: SignedTransaction): Promise<boolean> {
    const account = await this.#standing.ask((client) => readAccount(client, transaction.sender))
    const { head } = await this.#standing.up()
    if (admit(transaction, account, this.#pool, head.nextBaseFeeWei) === 'next') return false
    const held = await this.#standing.ask((client) => holdsTransaction(client, transaction.hash))
    if (!held) throw new ChainError('transaction-refused', 'nonce too low')
    return true
  }

  async #mine(): Promise<void> {
    this.#timer.begin()
    const { anvil, journal, head } = await this.#standing.up()
    const nowSeconds = Math.floor(this.#environment.nowMs() / 1000)
    const timestampSeconds = Math.max(nowSeconds, head.timestampSeconds + 1)
    const carriesTransactions = this.#pool.size > 0
    await this.#write(journal, { kind: 'block', timestampSeconds })
    try {
      await mineBlock(anvil.client, timestampSeconds)
      await this.#noteBlock(anvil.client, journal)
    } catch (error) {
      if (!(error instanceof AnvilGone)) throw error
      await this.#standing.restart()
    }
    // One more block after transactions: clients that look at a block number only when it changes (viem waits for
    // receipts like that, and can miss one change) would otherwise wait for the heartbeat.
    if (carriesTransactions) this.#timer.soon(timestampSeconds)
    this.#timer.heartbeat(this.#options.heartbeatMs)
  }

  /** After a block the pool is empty, because admission lets no more in than one block holds. */
  async #noteBlock(client: AnvilClient, journal: Journal): Promise<void> {
    const head = await readHead(client)
    this.#standing.note({ head })
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
    if (!(await this.#writeSnapshot(client))) return
    this.#standing.note({ journal: await startSegment(this.#options.directory, head.number) })
    await journal.close()
  }

  /** Without a new snapshot (disk full) the old one and the longer journal say the same. */
  async #writeSnapshot(client: AnvilClient): Promise<boolean> {
    try {
      this.#snapshotBytes = await writeSnapshot(client, this.#options.directory)
      return true
    } catch (error) {
      if (error instanceof AnvilGone) throw error
      this.#environment.log('no snapshot', { error: String(error) })
      return false
    }
  }

  /** A journal that cannot be written ends the chain: nothing may be accepted that is not durable. */
  async #write(journal: Journal, record: JournalRecord): Promise<void> {
    try {
      await journal.append(record)
      this.#recordsSinceSnapshot += 1
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  async #noteRaised(raised: RaisedChain): Promise<void> {
    this.#pool.replace(await Promise.all(raised.pending.map((raw) => parse(raw))))
    this.#recordsSinceSnapshot = raised.replayed
    // Until a block is mined, calls on the pending state see the clock of the last one.
    this.#timer.soon(raised.head.timestampSeconds)
  }

  /** Runs a job that nobody waits for. A full queue is tried again; anything else ends the chain. */
  #supervise(job: () => Promise<unknown>): void {
    this.#queue.run(job).catch((error: unknown) => {
      if (error instanceof ChainError && error.code === 'chain-busy') {
        this.#timer.begin()
        this.#timer.heartbeat(ONE_SECOND_MS)
      } else {
        this.#fail(error)
      }
    })
  }

  #fail(reason: unknown): void {
    if (this.#ended !== undefined) return
    this.#environment.log('chain failed', { error: String(reason) })
    this.#failure.abort(reason)
    // Not awaited: we may be inside the job that close waits for.
    this.close().catch((error: unknown) => {
      this.#environment.log('not closed', { error: String(error) })
    })
  }
}

/** Loaded late: the cryptography is most of our own start-up time, and anvil can start meanwhile. */
async function parse(raw: unknown): Promise<SignedTransaction> {
  const { parseSignedTransaction } = await import('./signed-transaction.ts')
  return parseSignedTransaction(raw)
}

async function selectAsync<T>(
  items: readonly T[],
  test: (item: T) => Promise<boolean>,
): Promise<T[]> {
  const selected = await Promise.all(items.map(async (item) => ((await test(item)) ? [item] : [])))
  return selected.flat()
}
