/** The ledger on disk: applied in memory, journaled, recovered by the same function (spec/payment.md PA20). */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ownDatabase } from '../database.ts'
import { JournalDamaged } from './journal-frame.ts'
import { createJournalStorage, type JournalStorage } from './journal-storage.ts'
import { findJournal, type Journal } from './journal.ts'
import { createLedger, type Ledger, type LedgerEvent, type LedgerState } from './ledger.ts'
import { encodeRecord, parseRecord } from './record-codec.ts'
import type { LedgerRefusal } from './step.ts'

/** The ledger of one network and asset, owned by this process. */
export type DurableLedger = {
  /** The latest records; some of them may not be on the disk yet. */
  readonly state: LedgerState
  /**
   * Applies an event to memory, so that every later admission sees it, and journals it. Nothing that follows from it
   * may leave the process before `durable` has resolved.
   */
  apply(event: LedgerEvent): LedgerRefusal | { readonly kind: 'accepted' }
  /** Resolves when everything applied so far is on the disk; rejects when the disk failed. */
  durable(): Promise<void>
  close(): Promise<void>
}

/** How a ledger is kept. */
export type DurableLedgerOptions = {
  readonly directory: string
  readonly clock: () => number
  /** Must end the process: what the disk holds is found out by the next start. */
  readonly onFault: (error: unknown) => void
  readonly intervalMs?: number
  readonly segmentBytes?: number
  readonly storage?: JournalStorage
}

const defaultIntervalMs = 1
const defaultSegmentBytes = 16 << 20

/**
 * Opens a ledger and ends the calls that were running when the last process did; that is durable when this resolves.
 *
 * @throws DatabaseFault when another process owns it, JournalDamaged when no crash explains what is on the disk.
 */
export async function openDurableLedger(options: DurableLedgerOptions): Promise<DurableLedger> {
  const { directory, clock, onFault } = options
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const owner = ownDatabase(join(directory, 'ledger'), 'journal')
  try {
    const ledger = createLedger()
    const found = await findJournal({
      storage: options.storage ?? createJournalStorage(directory),
      intervalMs: options.intervalMs ?? defaultIntervalMs,
      segmentBytes: options.segmentBytes ?? defaultSegmentBytes,
      dump: () => encodeLater(ledger.dump()),
      onFault,
    })
    for (const line of found.lines) replay(ledger, line)
    const durable = createDurable(ledger, await found.open(), owner.release)
    endRunning(durable, clock())
    await durable.durable()
    return durable
  } catch (error) {
    owner.release()
    throw error
  }
}

function createDurable(ledger: Ledger, journal: Journal, release: () => void): DurableLedger {
  // Owned by `close`, which may be called again.
  let closing: Promise<void> | undefined
  return {
    state: ledger.state,
    apply: (event) => {
      const step = ledger.apply(event)
      if (step.kind === 'accepted') {
        // A start that does not find it finds the receipt, and notes it again.
        const hasTime = event.type === 'receipt-issued'
        journal.append(encodeRecord(event), hasTime ? 'unhurried' : undefined)
      }
      return step
    },
    durable: () => journal.durable(),
    close: () => {
      closing ??= journal.close().finally(release)
      return closing
    },
  }
}

function replay(ledger: Ledger, line: string): void {
  try {
    const step = ledger.apply(parseRecord(line))
    if (step.kind === 'accepted') return
    throw new JournalDamaged(`a journaled event is refused: ${step.code}`)
  } catch (cause) {
    if (cause instanceof JournalDamaged) throw cause
    throw new JournalDamaged('a journaled event cannot be read', { cause })
  }
}

/** What ran when the last process died is charged what is proven; it can never go on (PA20.4). */
function endRunning(ledger: DurableLedger, atMs: number): void {
  const { channels, payments } = ledger.state
  for (const { channelId, mode, running } of channels.values()) {
    for (const { callId, provenAtomic } of running) {
      const isUnused = provenAtomic === 0n && mode === 'strict'
      expectAccepted(
        ledger.apply(
          isUnused
            ? { type: 'call-released', channelId, callId }
            : { type: 'call-charged', channelId, callId, amountAtomic: provenAtomic, atMs },
        ),
      )
    }
  }
  for (const { payer, permit, provenAtomic, state } of payments.values()) {
    if (state.kind !== 'running') continue
    const { nonce } = permit
    expectAccepted(ledger.apply({ type: 'upto-charged', payer, nonce, amountAtomic: provenAtomic }))
  }
}

function expectAccepted(step: ReturnType<DurableLedger['apply']>): void {
  if (step.kind === 'refused') throw new JournalDamaged(`recovery was refused: ${step.code}`)
}

/** The events are taken now and encoded when they are read: records never change. */
function* encodeLater(events: readonly LedgerEvent[]): Iterable<string> {
  for (const event of events) yield encodeRecord(event)
}
