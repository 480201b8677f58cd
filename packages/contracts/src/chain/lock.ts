/** One process per data directory, by a lock that the kernel drops when its holder dies, however it dies. */

import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { ChainError } from './errors.ts'

/** A held lock. */
export type DirectoryLock = {
  /** Safe to call twice. */
  release(): void
}

/**
 * Locks the directory or refuses at once. The lock is SQLite's exclusive file lock on `lock.db`: no pid to trust,
 * nothing stale to clean up after kill -9.
 *
 * @throws ChainError `data-locked` when another holder exists, in this process or another.
 */
export function lockDirectory(directory: string): DirectoryLock {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(join(directory, 'lock.db'))
    // Without a journal file there is nothing to recover; a transaction that stays open holds the lock.
    database.exec(
      'PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE',
    )
  } catch (cause) {
    database?.close()
    throw new ChainError('data-locked', `cannot lock ${directory}`, { cause })
  }
  const held = database
  return {
    release: () => {
      if (held.isOpen) held.close()
    },
  }
}
