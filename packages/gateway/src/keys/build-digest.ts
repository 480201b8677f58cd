/** Which code runs: a digest over the files of the gateway and of what it imports from this project. */
import { createHash, hash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * SHA-256 over the sorted list of (relative path, SHA-256) of all source files of `protocol`, `contracts` and `gateway`.
 * It names the files on disk at start; a reproducible, measured build is a later step (docs/known-gaps.md).
 */
export function computeBuildDigest(): Uint8Array {
  const here = dirname(fileURLToPath(import.meta.url))
  const packages = join(here, '..', '..', '..')
  const folder = here.split(sep).at(-2) === 'dist' ? 'dist' : 'src'
  const digest = createHash('sha256')
  const files = ['contracts', 'gateway', 'protocol'].flatMap((name) =>
    listFiles(join(packages, name, folder)),
  )
  if (files.length === 0) throw new Error('no source files to digest')
  for (const file of files.toSorted()) {
    const path = relative(packages, file).split(sep).join('/')
    digest.update(`${path}\n${hash('sha256', readFileSync(file), 'hex')}\n`)
  }
  return digest.digest()
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(?:js|ts)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}
