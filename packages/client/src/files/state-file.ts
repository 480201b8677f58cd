/** What a payer must not forget, in a file: written whole, read whole, used by one process at a time. Needs Node 24. */
import { lstat, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ClientError } from '../errors.ts'
import { maxStateBytes, type StateStore } from '../pay/client-state.ts'
import { followLinks, readSecretFile, replaceSecretFile } from './secret-file.ts'

/** SQLITE_BUSY */
const busyCode = 5

/** A file that this process holds. */
export type StateFile = StateStore & {
  /** Ends the write that runs, refuses later ones, and lets another process have the file. Safe to call twice. */
  close(): Promise<void>
}

/**
 * Opens the state of a payer; the file need not exist yet. Beside it stands a lock that the kernel drops when its holder
 * dies, however it dies: two processes would sign the same ceiling twice.
 *
 * @example
 * const state = await openStateFile('./payer-state.json')
 * const fetch = countersignFetch({ baseUrl, account, state, … })
 *
 * @throws ClientError `state-in-use`, `file-unwritable`.
 */
export async function openStateFile(given: string): Promise<StateFile> {
  const path = await placeOf(given)
  const lock = takeLock(`${path}.lock`, path)
  // Owned here: what is written last must be what was known last.
  let running: Promise<void> = Promise.resolve()
  let isClosed = false
  return {
    read: () => readSecretFile(path, maxStateBytes),
    write: async (bytes) => {
      // Somebody else may hold the file by now, with a newer state.
      if (isClosed) throw new ClientError('state-in-use', { detail: `${path} was closed` })
      running = replaceSecretFile(path, bytes)
      await running
    },
    close: async () => {
      isClosed = true
      await running.catch(() => undefined)
      if (lock.isOpen) lock.close()
    },
  }
}

/** Where the file is or will be. Two names of one file have one lock. */
async function placeOf(path: string): Promise<string> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const place = await followLinks(path)
    // The first write would take the place of a link to nothing, and its end would be another payer.
    const found = await lstat(place).catch(() => undefined)
    if (found?.isSymbolicLink() === true) throw new Error('a link to nothing')
    return place
  } catch (cause) {
    throw new ClientError('file-unwritable', { detail: path, cause })
  }
}

function takeLock(lockPath: string, path: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(lockPath)
    // A transaction that stays open holds the lock; without a journal file there is nothing to recover.
    database.exec(
      'PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE',
    )
    return database
  } catch (cause) {
    database?.close()
    const isHeld = cause instanceof Error && 'errcode' in cause && cause.errcode === busyCode
    if (isHeld) throw new ClientError('state-in-use', { detail: path, cause })
    throw new ClientError('file-unwritable', { detail: lockPath, cause })
  }
}
