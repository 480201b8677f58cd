/** Files that the person at the command line names. */
import { createReadStream } from 'node:fs'
import { access, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ClientError } from '../errors.ts'

/** Most bytes of a request or response that is compared with a receipt. */
export const maxBodyBytes = 268_435_456

/**
 * The bytes of a file. Of a longer one just enough that it is seen to be too long.
 *
 * @throws ClientError `file-unreadable`.
 */
export async function readFileBounded(path: string, limitBytes: number): Promise<Uint8Array> {
  try {
    const chunks: Buffer[] = []
    const stream: AsyncIterable<unknown> = createReadStream(path, { end: limitBytes })
    for await (const chunk of stream) if (chunk instanceof Buffer) chunks.push(chunk)
    return Uint8Array.from(Buffer.concat(chunks))
  } catch (cause) {
    throw new ClientError('file-unreadable', { detail: reasonOf(path, cause), cause })
  }
}

/**
 * Writes a file.
 *
 * @throws ClientError `file-unwritable`.
 */
export async function writeFileAs(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(path, bytes)
  } catch (cause) {
    throw new ClientError('file-unwritable', { detail: reasonOf(path, cause), cause })
  }
}

/**
 * Refuses the name of a folder, and one in a folder that is not there: before something is bought that has to be written.
 *
 * @throws ClientError `file-unwritable`.
 */
export async function refuseUnwritable(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory() === true) {
    throw new ClientError('file-unwritable', { detail: `${path} is a folder` })
  }
  try {
    await access(dirname(path))
  } catch (cause) {
    throw new ClientError('file-unwritable', { detail: reasonOf(path, cause), cause })
  }
}

function reasonOf(path: string, cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
  return `${path}: ${code}`
}
