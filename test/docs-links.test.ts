import { dirname, join, normalize } from 'node:path/posix'
import { expect, test } from 'vitest'
import { readSourceTree, repositoryRoot, type SourceTree } from './tools/source-tree.ts'

const tree = readSourceTree(repositoryRoot)
const pages = tree.files.filter((path) => path.endsWith('.md'))
const entries = new Set(tree.files.flatMap((path) => [path, ...foldersOf(path)]))

test('every relative link of a document leads to a file, and to a heading of it', () => {
  const links = pages.flatMap((page) => linksOf(page, tree.read(page)))
  expect(links.length).toBeGreaterThan(100)
  expect(links.filter((link) => !leadsSomewhere(link, tree))).toEqual([])
})

test('every clause that a document names is in a spec', () => {
  const specs = pages.filter((path) => path.startsWith('spec/'))
  const defined = new Set(
    specs.flatMap((path) =>
      Array.from(tree.read(path).matchAll(/(?:\*\*|^#+ )([A-Z]{2}\d+(?:\.\d+)?)\b/gm), nameOf),
    ),
  )
  const families = new Set(Array.from(defined, (clause) => clause.slice(0, 2)))
  expect(families.size).toBeGreaterThan(8)
  const named = pages.flatMap((page) =>
    Array.from(tree.read(page).matchAll(/\b([A-Z]{2}\d+(?:\.\d+)?)\b/g), nameOf)
      .filter((clause) => families.has(clause.slice(0, 2)) && !defined.has(clause))
      .map((clause) => `${page}: ${clause}`),
  )
  expect(named).toEqual([])
})

test('every script that a document names is there', () => {
  const manifest: unknown = JSON.parse(tree.read('package.json'))
  const scripts = new Set(
    typeof manifest === 'object' && manifest !== null && 'scripts' in manifest
      ? Object.keys(Object(manifest.scripts))
      : [],
  )
  const named = pages.flatMap((page) =>
    Array.from(tree.read(page).matchAll(/npm run (?:-s )?([a-z][\w:]*)/g), nameOf),
  )
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter((name) => !scripts.has(name))).toEqual([])
})

type Link = { readonly page: string; readonly path: string; readonly heading: string }

function linksOf(page: string, text: string): Link[] {
  const prose = text.replaceAll(/^```[^]*?^```/gm, '')
  return Array.from(prose.matchAll(/\]\(([^)\s]+)\)/g), nameOf)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path = '', heading = ''] = target.split('#')
      return { page, path: path === '' ? page : normalize(join(dirname(page), path)), heading }
    })
}

function leadsSomewhere({ path, heading }: Link, { read }: SourceTree): boolean {
  if (!entries.has(path.replace(/\/$/, ''))) return false
  if (heading === '') return true
  const headings = Array.from(read(path).matchAll(/^#+ (.+)$/gm), nameOf)
  return headings.some((text) => toAnchor(text) === heading)
}

function toAnchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')
}

function foldersOf(path: string): string[] {
  const folder = dirname(path)
  return folder === '.' ? [] : [folder, ...foldersOf(folder)]
}

function nameOf([, name = '']: RegExpMatchArray): string {
  return name
}
