/** Which file names which: every import of every module, resolved the way Node resolves it. */
import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { objectAt, textAt, toObject, type JsonObject } from '../json-value.ts'
import type { SourceTree } from '../source-tree.ts'
import type { ImportFact, ModuleFacts } from './module-facts.ts'

/** What an import leads to. */
export type ImportTarget =
  | { readonly kind: 'file'; readonly path: string; readonly workspace: string | undefined }
  | { readonly kind: 'builtin'; readonly name: string }
  | { readonly kind: 'package'; readonly name: string }
  | { readonly kind: 'computed' }
  | { readonly kind: 'missing'; readonly reason: string }

/** One import with its target. */
export interface ImportEdge extends ImportFact {
  readonly from: string
  readonly target: ImportTarget
}

/** A rule that does not hold, and where. */
export interface Violation {
  readonly path: string
  readonly line: number
  readonly message: string
}

/** One line a violation, for an assertion's message. */
export function describeViolations(violations: readonly Violation[]): string {
  return violations.map(({ path, line, message }) => `${path}:${line} ${message}`).join('\n')
}

/** Resolves every import of `modules` in `tree`; an import that leads nowhere becomes a `missing` target. */
export function readImportGraph(
  tree: SourceTree,
  modules: readonly ModuleFacts[],
): readonly ImportEdge[] {
  const files = new Set(tree.files)
  const workspaces = readWorkspaces(tree)
  return modules.flatMap((module) =>
    module.imports.map((fact) => ({
      ...fact,
      from: module.path,
      target: resolveImport(module.path, fact.specifier, files, workspaces),
    })),
  )
}

/**
 * Groups of files that reach one another, `import type` included.
 *
 * @returns one violation a group; a file that imports itself is a group of one.
 */
export function findCycles(edges: readonly ImportEdge[]): readonly Violation[] {
  const next = new Map<string, Set<string>>()
  for (const { from, target } of edges) {
    if (target.kind !== 'file') continue
    next.set(from, (next.get(from) ?? new Set()).add(target.path))
  }
  const reaches = new Map([...next.keys()].map((path) => [path, reachableFrom(path, next)]))
  const seen = new Set<string>()
  const violations: Violation[] = []
  for (const [path, reachable] of reaches) {
    if (seen.has(path) || !reachable.has(path)) continue
    const group = [...reachable].filter((other) => reaches.get(other)?.has(path) === true)
    for (const member of group) seen.add(member)
    const members = group.toSorted().join(' ↔ ')
    violations.push({ path, line: 1, message: `is part of an import cycle: ${members}` })
  }
  return violations
}

function reachableFrom(start: string, next: ReadonlyMap<string, Set<string>>): Set<string> {
  const reached = new Set<string>()
  const pending = [...(next.get(start) ?? [])]
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (reached.has(path)) continue
    reached.add(path)
    pending.push(...(next.get(path) ?? []))
  }
  return reached
}

interface Workspace {
  readonly folder: string
  readonly exports: JsonObject
}

function readWorkspaces(tree: SourceTree): ReadonlyMap<string, Workspace> {
  const workspaces = new Map<string, Workspace>()
  for (const path of tree.files) {
    if (!/^packages\/[^/]+\/package\.json$/.test(path)) continue
    const manifest = toObject(JSON.parse(tree.read(path)), path)
    const name = textAt(manifest, 'name')
    if (name === undefined) throw new Error(`${path} has no name`)
    workspaces.set(name, { folder: posix.dirname(path), exports: objectAt(manifest, 'exports') })
  }
  return workspaces
}

function resolveImport(
  from: string,
  specifier: string | undefined,
  files: ReadonlySet<string>,
  workspaces: ReadonlyMap<string, Workspace>,
): ImportTarget {
  if (specifier === undefined) return { kind: 'computed' }
  if (specifier.startsWith('.')) {
    const path = posix.join(posix.dirname(from), specifier)
    if (!files.has(path)) return { kind: 'missing', reason: `${specifier} is no file` }
    return { kind: 'file', path, workspace: undefined }
  }
  if (isBuiltin(specifier)) return { kind: 'builtin', name: specifier }
  const parts = specifier.split('/')
  const name = parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
  const workspace = workspaces.get(name)
  if (workspace === undefined) {
    // Ours by name but not here: a registry could one day answer for it.
    if (name.startsWith('@countersign/'))
      return { kind: 'missing', reason: `${name} is no workspace` }
    return { kind: 'package', name }
  }
  const path = resolveExport(workspace, `.${specifier.slice(name.length)}`)
  if (path === undefined || !files.has(path)) {
    return { kind: 'missing', reason: `${name} does not export ${specifier}` }
  }
  return { kind: 'file', path, workspace: name }
}

/** The `source` file of an export, by its exact key or by a key that ends in `*`. */
function resolveExport(workspace: Workspace, subpath: string): string | undefined {
  for (const [key, value] of workspace.exports) {
    const wildcard = key.endsWith('*') && subpath.startsWith(key.slice(0, -1))
    if (key !== subpath && !wildcard) continue
    const target = typeof value === 'string' ? value : textAt(toObject(value, key), 'source')
    if (target === undefined) continue
    const rest = wildcard ? subpath.slice(key.length - 1) : ''
    return posix.join(workspace.folder, target.replace('*', rest))
  }
  return undefined
}
