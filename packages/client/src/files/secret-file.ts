/** Files that only their owner may read: keys, and what was signed with them. */
import { open, readFile, realpath, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ClientError } from '../errors.ts'

const ownerOnly = 0o600
const othersMask = 0o077

/**
 * Replaces a file: after a crash the old one or the new one is there, whole. Resolves when the new one is on the disk.
 * Where a symbolic link stands, what it points to is replaced, and the link stays.
 *
 * @throws ClientError `file-unwritable`.
 */
export async function replaceSecretFile(path: string, content: string | Uint8Array): Promise<void> {
  try {
    const target = await followLinks(path)
    const temporary = `${target}.new`
    const file = await open(temporary, 'w', ownerOnly)
    try {
      // One that a crash left behind keeps the mode that somebody gave it.
      await file.chmod(ownerOnly)
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, target)
    await syncFolder(dirname(target))
  } catch (cause) {
    throw new ClientError('file-unwritable', { detail: path, cause })
  }
}

/** Where a file really is; the path itself where there is none yet. */
export async function followLinks(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return path
    throw error
  }
}

/**
 * Writes a file that must not be there yet.
 *
 * @throws ClientError `file-unwritable`, also when it is there: a key must not be lost.
 */
export async function createSecretFile(path: string, content: string): Promise<void> {
  try {
    const file = await open(path, 'wx', ownerOnly)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await syncFolder(dirname(path))
  } catch (cause) {
    const isThere = codeOf(cause) === 'EEXIST'
    const detail = isThere ? `${path} is there already` : path
    throw new ClientError('file-unwritable', { detail, cause })
  }
}

/**
 * The bytes of a file that nobody else can read, or `undefined` when there is none.
 *
 * @throws ClientError `file-unreadable`; `state-malformed` when it is too long or open to others.
 */
export async function readSecretFile(
  path: string,
  limitBytes: number,
): Promise<Uint8Array | undefined> {
  try {
    const stats = await stat(path)
    if (stats.isDirectory()) {
      throw new ClientError('file-unreadable', { detail: `${path} is a folder` })
    }
    const { mode, size } = stats
    if (process.platform !== 'win32' && (mode & othersMask) !== 0) {
      throw new ClientError('state-malformed', {
        detail: `${path} can be read by others: chmod 600`,
      })
    }
    if (size > limitBytes) throw new ClientError('state-malformed', { detail: `${path}: too long` })
    return Uint8Array.from(await readFile(path))
  } catch (cause) {
    if (cause instanceof ClientError) throw cause
    if (codeOf(cause) === 'ENOENT') return undefined
    throw new ClientError('file-unreadable', { detail: path, cause })
  }
}

async function syncFolder(path: string): Promise<void> {
  // Windows cannot open a folder; its file systems keep names in order by themselves.
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
