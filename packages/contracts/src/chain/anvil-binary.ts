/** Finds the anvil binary that npm installed for this platform. */

import { accessSync, constants } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { ChainError } from './errors.ts'

/**
 * The path of the anvil to run: `COUNTERSIGN_ANVIL` when set, else the one in the platform package. It is the
 * native binary itself: the `bin` wrapper of the umbrella package would survive, orphaned, when killed.
 *
 * @throws ChainError `anvil-missing`, naming the platform and the package that would have it.
 */
export function findAnvil(environment: Readonly<Record<string, string | undefined>>): string {
  const chosen = environment['COUNTERSIGN_ANVIL']
  if (chosen !== undefined && chosen !== '') {
    if (isExecutable(chosen)) return chosen
    throw new ChainError('anvil-missing', `COUNTERSIGN_ANVIL is no executable file: ${chosen}`)
  }
  const platform = `${process.platform}-${process.arch}`
  const packageName = `@foundry-rs/anvil-${packageSuffix()}`
  let folder: string
  try {
    folder = dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`))
  } catch (cause) {
    const hint = `${packageName} is not installed on ${platform}; set COUNTERSIGN_ANVIL to an anvil binary`
    throw new ChainError('anvil-missing', hint, { cause })
  }
  const path = join(folder, 'bin', process.platform === 'win32' ? 'anvil.exe' : 'anvil')
  if (isExecutable(path)) return path
  throw new ChainError('anvil-missing', `${packageName} has no binary for ${platform}`)
}

/** The packages say amd64 where Node says x64. */
function packageSuffix(): string {
  return `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
