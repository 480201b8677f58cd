/** Rules about files as such: how many, how long, how called, what may not stand in them. */
import { posix } from 'node:path'
import type { SourceTree } from '../source-tree.ts'
import type { Violation } from './import-graph.ts'
import type { ModuleFacts } from './module-facts.ts'

/** Entries of the root, dot files included, `.git` not. */
const maxRootEntries = 16
const maxLines = 400

const sourceEndings: ReadonlySet<string> = new Set(['.ts', '.tsx', '.js', '.mjs', '.py', '.sol'])

/** Source files: what the rules about length and names judge. */
export function listSources(tree: SourceTree): readonly string[] {
  return tree.files.filter((path) => sourceEndings.has(posix.extname(path)))
}

/** Files that are longer than a reader holds in mind. */
export function judgeFileSizes(tree: SourceTree): readonly Violation[] {
  return listSources(tree).flatMap((path) => {
    if (path.split('/').includes('generated')) return []
    const lines = tree.read(path).split('\n').length - 1
    const message = `has ${String(lines)} lines, more than ${String(maxLines)}`
    return lines > maxLines ? [{ path, line: maxLines, message }] : []
  })
}

/** More in the root than somebody new takes in at a glance. */
export function judgeRootEntries(tree: SourceTree): readonly Violation[] {
  const count = tree.rootEntries.length
  if (count <= maxRootEntries) return []
  const message = `the root holds ${String(count)} entries, more than ${String(maxRootEntries)}: ${tree.rootEntries.join(' ')}`
  return [{ path: '.', line: 1, message }]
}

/** File and folder names of sources: kebab-case (a contract is called like its Solidity type), and never a drawer. */
export function judgeNames(tree: SourceTree): readonly Violation[] {
  return listSources(tree).flatMap((path) => {
    const stem = posix.basename(path).split('.')[0] ?? ''
    const problems: Violation[] = []
    if (/^(utils?|common|misc|helpers?)$/.test(stem)) {
      problems.push({ path, line: 1, message: 'is named after nothing it holds' })
    }
    const parts = path.split('/')
    const judged = path.endsWith('.sol') ? parts.slice(0, -1) : parts
    for (const part of judged) {
      if (/^\.?[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*$/.test(part)) continue
      problems.push({ path, line: 1, message: `${part} is not kebab-case` })
    }
    return problems
  })
}

/** Exports that only pass on another module's: the index of a package may, nobody else. */
export function judgeBarrels(modules: readonly ModuleFacts[]): readonly Violation[] {
  return modules
    .filter(({ path }) => !/^packages\/[^/]+\/src\/index\.ts$/.test(path))
    .flatMap(({ path, passedOn }) =>
      passedOn.map((line) => ({ path, line, message: 're-exports: import from the file itself' })),
    )
}

/** What packages never ship: `any`, switched-off checks, promises to do it later. */
export function judgeLooseEnds(modules: readonly ModuleFacts[]): readonly Violation[] {
  const violations: Violation[] = []
  for (const { path, anyTypes, comments } of modules) {
    if (!/^packages\/[^/]+\/src\//.test(path)) continue
    for (const line of anyTypes) violations.push({ path, line, message: 'writes the type any' })
    for (const { text, line } of comments) {
      const found = looseEnd.exec(text)
      if (found !== null) violations.push({ path, line, message: `${found[0]} in a comment` })
    }
  }
  return violations
}

const looseEnd =
  /@ts-(ignore|expect-error|nocheck)|\b(TODO|FIXME|XXX|HACK)\b|\b(oxlint|eslint)-disable|\b(v8|c8|istanbul) ignore/
