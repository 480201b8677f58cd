/** Whether everything that is installed may be used, and what is shipped may be shipped, under its licence. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { objectAt, readJsonObject, textAt, toObject, type JsonObject } from '../json-value.ts'
import { readLock, resolveInLock, type LockEntries } from './lock.ts'

/** Packages that are shipped, with everything that they depend on. */
const shippedPackages = ['packages/protocol', 'packages/gateway'] as const

const shippedLicences: ReadonlySet<string> = new Set([
  'MIT',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
])

/** For tools that stay here. MPL-2.0 is lightningcss and CC-BY-4.0 a table of browsers, both below Vite or Babel. */
const toolLicences: ReadonlySet<string> = new Set([
  ...shippedLicences,
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
  'CC0-1.0',
  'Python-2.0',
  'MPL-2.0',
  'CC-BY-4.0',
])

/** Reads the licence of every installed package. @returns how many. @throws Error naming those not allowed. */
export function checkLicences(root: string): string {
  const entries = readLock(join(root, 'package-lock.json'))
  const shipped = listShipped(entries)
  const problems: string[] = []
  let count = 0
  for (const [folder, entry] of entries) {
    const path = join(root, folder, 'package.json')
    // Packages of other platforms are not on the disk.
    if (folder === '' || entry.get('link') === true || !existsSync(path)) continue
    count += 1
    const allowed = shipped.has(folder) ? shippedLicences : toolLicences
    const licence = readLicence(readJsonObject(path))
    if (licence === undefined || !isAllowed(licence, allowed)) {
      const use = shipped.has(folder) ? 'shipped' : 'a tool'
      problems.push(`${folder} (${use}): licence ${licence ?? 'unknown'}`)
    }
  }
  if (problems.length > 0) throw new Error(problems.join('\n'))
  const [protocol, gateway] = shippedPackages
  if (!shipped.has(protocol) || !shipped.has(gateway) || shipped.size < 10) {
    throw new Error(`only ${String(shipped.size)} shipped packages found`)
  }
  return `${String(count)} packages, ${String(shipped.size)} of them shipped`
}

/** Folders of the shipped packages and of all that they need, optional packages included. */
export function listShipped(entries: LockEntries): ReadonlySet<string> {
  const shipped = new Set<string>()
  const pending: string[] = [...shippedPackages]
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    const entry = entries.get(folder)
    if (entry === undefined || shipped.has(folder)) continue
    shipped.add(folder)
    for (const field of ['dependencies', 'optionalDependencies', 'peerDependencies']) {
      for (const name of objectAt(entry, field).keys()) {
        const found = resolveInLock(entries, folder, name)
        if (found !== undefined) pending.push(found)
      }
    }
  }
  return shipped
}

/** Whether `expression` (SPDX, with OR, AND and brackets around the whole) can be met by `allowed`. */
export function isAllowed(expression: string, allowed: ReadonlySet<string>): boolean {
  const bare = expression.trim().replace(/^\((.*)\)$/, '$1')
  if (/[()]/.test(bare)) return false
  return bare
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((licence) => allowed.has(licence.trim())))
}

/** The licence a manifest names, in today's form or in the list of old packages. */
export function readLicence(manifest: JsonObject): string | undefined {
  const licence = manifest.get('license')
  if (typeof licence === 'string') return licence
  const list = manifest.get('licenses')
  if (!Array.isArray(list)) return undefined
  const types = list.map((item: unknown) => textAt(toObject(item, 'licenses'), 'type'))
  return types.every((type) => type !== undefined) ? types.join(' OR ') : undefined
}
