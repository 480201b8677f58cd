/** Journal files in a temporary directory, and a disk that fails when it is told to. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import {
  createJournalStorage,
  type JournalStorage,
} from '../../src/payment/ledger/journal-storage.ts'

/** A directory that is removed when the test ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-ledger-'))
  onTestFinished(() => {
    rmSync(directory, { recursive: true })
  })
  return directory
}

/** Every operation that can fail. */
export type DiskOperation = 'write' | 'sync' | 'create' | 'publish' | 'remove'

/** Real files; `before` runs before each operation and may throw, or wait. */
export function createWatchedStorage(
  directory: string,
  before: (operation: DiskOperation) => Promise<void> | void,
): JournalStorage {
  const real = createJournalStorage(directory)
  const watch = (file: Awaited<ReturnType<JournalStorage['open']>>): typeof file => ({
    write: async (bytes, offset) => {
      await before('write')
      await file.write(bytes, offset)
    },
    writeDurably: async (bytes, offset) => {
      await before('write')
      await before('sync')
      await file.writeDurably(bytes, offset)
    },
    sync: async () => {
      await before('sync')
      await file.sync()
    },
    close: () => file.close(),
  })
  return {
    list: () => real.list(),
    read: (segment) => real.read(segment),
    open: async (segment) => watch(await real.open(segment)),
    create: async () => {
      await before('create')
      return watch(await real.create())
    },
    publish: async (segment) => {
      await before('publish')
      await real.publish(segment)
    },
    remove: async (segment) => {
      await before('remove')
      await real.remove(segment)
    },
  }
}
