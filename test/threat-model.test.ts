import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readSourceTree, repositoryRoot } from './tools/source-tree.ts'

test('every test that the threat model names is there', () => {
  const text = readFileSync(join(repositoryRoot, 'docs/threat-model.md'), 'utf8')
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('| ') && line.split('|').length === 6)
  const cells = rows.map((row) => row.split('|')[3] ?? '').filter((cell) => cell !== ' Test ')
  const named = cells.flatMap((cell) =>
    Array.from(cell.matchAll(/`([^`]+)`/g), ([, name]) => name ?? ''),
  )
  expect(named.length).toBeGreaterThan(25)
  expect(cells.filter((cell) => !cell.includes('`'))).toEqual([])
  const files = readSourceTree(repositoryRoot).files.filter((path) => path.endsWith('.test.ts'))
  expect(named.filter((name) => !files.some((path) => path.includes(name)))).toEqual([])
})
