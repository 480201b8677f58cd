/**
 * The files of the repository as a clean clone would hold them: everything that `.gitignore` does not name. It
 * reads the disk, not git, so that a file is judged before it is added and an archive without `.git` is judged too.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What stands in one repository. */
export interface SourceTree {
  readonly root: string
  /** Names of the root's entries, `.git` left out, sorted. */
  readonly rootEntries: readonly string[]
  /** Paths relative to the root, with `/`, sorted. */
  readonly files: readonly string[]
  /** The text of one of `files`. */
  readonly read: (path: string) => string
}

/**
 * Reads the tree under `root`.
 *
 * @throws Error when `.gitignore` is absent, holds a pattern of a kind not understood here, or nothing is left.
 */
export function readSourceTree(root: string): SourceTree {
  const ignores = parseIgnore(readFileSync(join(root, '.gitignore'), 'utf8'))
  const rootEntries: string[] = []
  const files: string[] = []
  const pending = ['']
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (path === '.git' || ignores(path, entry.name)) continue
      if (folder === '') rootEntries.push(entry.name)
      if (entry.isDirectory()) pending.push(path)
      else files.push(path)
    }
  }
  if (files.length === 0) throw new Error(`no file under ${root}`)
  return {
    root,
    rootEntries: rootEntries.toSorted(),
    files: files.toSorted(),
    read: (path) => readFileSync(join(root, path), 'utf8'),
  }
}

/** A tree that exists only in memory: what a rule's own test plants its faults in. */
export function createSourceTree(contents: Readonly<Record<string, string>>): SourceTree {
  const texts = new Map(Object.entries(contents))
  const files = [...texts.keys()].toSorted()
  return {
    root: '/',
    rootEntries: [...new Set(files.map((path) => path.split('/')[0] ?? path))].toSorted(),
    files,
    read: (path) => {
      const text = texts.get(path)
      if (text === undefined) throw new Error(`${path} is not in the tree`)
      return text
    },
  }
}

/** The root of this repository. */
export const repositoryRoot: string = join(import.meta.dirname, '../..')

/** Understands `name`, `*.ending` and `a/path`; anything else would be silently wrong, so it is refused. */
function parseIgnore(text: string): (path: string, name: string) => boolean {
  const names = new Set<string>()
  const paths = new Set<string>()
  const endings: string[] = []
  for (const line of text.split('\n')) {
    const pattern = line.trim()
    if (pattern === '' || pattern.startsWith('#')) continue
    if (/^[\w.-]+$/.test(pattern)) names.add(pattern)
    else if (/^\*\.[\w.-]+$/.test(pattern)) endings.push(pattern.slice(1))
    else if (/^[\w.-]+(\/[\w.-]+)+$/.test(pattern)) paths.add(pattern)
    else throw new Error(`.gitignore: ${pattern} is a pattern that source-tree.ts does not know`)
  }
  return (path, name) =>
    names.has(name) || paths.has(path) || endings.some((ending) => name.endsWith(ending))
}
