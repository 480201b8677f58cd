/** Files that are there whole or not at all, whatever instant the machine stops. */

import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Replaces `path` by `bytes`: temporary file, fsync, rename, fsync of the directory. After a crash at any point
 * the path holds the old content or the new one; a left-over `.tmp` file is overwritten by the next call.
 */
export async function replaceFileDurably(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncDirectory(dirname(path))
}

/** Makes creations, renames and removals in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
