/**
 * Brings a chain up from what is on disk: genesis or snapshot, then every journaled input after it. The first
 * start, a restart after kill -9 and a restart of anvil alone all take this way.
 */

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { AnvilRefusal } from './anvil-rpc.ts'
import type { AnvilClient } from './anvil-rpc.ts'
import { startAnvil } from './anvil-process.ts'
import type { AnvilProcess, AnvilStart } from './anvil-process.ts'
import { dumpState, mineBlock, offerTransaction, readHead } from './anvil-state.ts'
import type { Head } from './anvil-state.ts'
import { replaceFileDurably } from './durable-file.ts'
import type { Genesis } from './genesis.ts'
import { openJournal } from './journal.ts'
import type { Journal, JournalRecord } from './journal.ts'

/** A chain that stands where its journal ends. */
export type RaisedChain = {
  readonly anvil: AnvilProcess
  readonly journal: Journal
  readonly head: Head
  /** Raw transactions accepted after the newest block. */
  readonly pending: readonly `0x${string}`[]
  /** Records replayed, and bytes of a torn last line that were cut off. */
  readonly replayed: number
  readonly truncatedBytes: number
}

const SNAPSHOT_FILE = 'snapshot.json'

/** Starts anvil on the data directory and replays the journal. On any error anvil is gone again. */
export async function raiseChain(
  binary: string,
  directory: string,
  genesis: Genesis,
): Promise<RaisedChain> {
  const anvil = await startAnvil(binary, directory, await chooseStart(directory, genesis))
  try {
    const snapshotBlock = (await readHead(anvil.client)).number
    const { journal, records, truncatedBytes } = await openJournal(directory, snapshotBlock)
    try {
      const pending = await replay(anvil.client, records)
      const head = await readHead(anvil.client)
      return { anvil, journal, head, pending, replayed: records.length, truncatedBytes }
    } catch (error) {
      await journal.close()
      throw error
    }
  } catch (error) {
    await anvil.stop()
    throw error
  }
}

/**
 * Writes a snapshot of a chain whose pool is empty and returns its size. The caller then starts the journal segment
 * that follows it. A crash before the rename leaves the old snapshot and its segment; one after it leaves the new
 * snapshot and the old segment, of which recovery skips the blocks that the snapshot has.
 */
export async function writeSnapshot(client: AnvilClient, directory: string): Promise<number> {
  const state = await dumpState(client)
  await replaceFileDurably(join(directory, SNAPSHOT_FILE), state)
  return state.length
}

async function chooseStart(directory: string, genesis: Genesis): Promise<AnvilStart> {
  const snapshot = join(directory, SNAPSHOT_FILE)
  try {
    await access(snapshot)
  } catch {
    return { kind: 'genesis', path: genesis.path }
  }
  const genesisTimestampSeconds = genesis.timestampSeconds
  return { kind: 'snapshot', path: snapshot, genesisTimestampSeconds }
}

/** A transaction that anvil refused the first time is refused again; it stays in the journal and means nothing. */
async function replay(
  client: AnvilClient,
  records: readonly JournalRecord[],
): Promise<`0x${string}`[]> {
  let pending: `0x${string}`[] = []
  for (const record of records) {
    if (record.kind === 'block') {
      await mineBlock(client, record.timestampSeconds)
      pending = []
    } else if (await isAccepted(client, record.raw)) {
      pending.push(record.raw)
    }
  }
  return pending
}

async function isAccepted(client: AnvilClient, raw: string): Promise<boolean> {
  try {
    await offerTransaction(client, raw)
    return true
  } catch (error) {
    if (error instanceof AnvilRefusal) return false
    throw error
  }
}
