/** Which code runs (spec/build.md BD1). */
import { createHash, hash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { measuredFiles } from './measured-files.ts'
import { nativeSha256 } from './native-sha256.ts'

/**
 * The build digest: SHA-256 of the bundle that runs, or, where sources run, over the list of their files. Both name
 * the files on disk at start; only what measures the machine can say that they were not changed before.
 *
 * @throws Error when a file beside the bundle is not the one that was built with it.
 */
export function computeBuildDigest(): Uint8Array {
  const here = fileURLToPath(import.meta.url)
  return measuredFiles === undefined
    ? digestSources(dirname(here))
    : digestBundle(here, measuredFiles)
}

/** The bundle holds the digests of the files beside it: they are as they were, or nothing starts. */
function digestBundle(bundle: string, measured: ReadonlyMap<string, string>): Uint8Array {
  for (const [name, expected] of measured) {
    const found = hash('sha256', readFileSync(join(dirname(bundle), name)), 'hex')
    if (found !== expected) throw new Error(`${name} is not the file that was built`)
  }
  return nativeSha256(readFileSync(bundle))
}

/** SHA-256 over the sorted list of (relative path, SHA-256) of all sources of `protocol`, `contracts` and `gateway`. */
function digestSources(here: string): Uint8Array {
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
