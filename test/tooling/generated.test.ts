import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { findOrphans, generators, judgeGenerated, writeGenerated } from '../tools/generators.ts'
import { repositoryRoot } from '../tools/source-tree.ts'

// Compiling every contract and signing hundreds of made-up chips and quotes takes its time on a busy machine.
test('every generated file is what its generator writes now', { timeout: 900_000 }, async () => {
  const all = new Set<string>()
  for (const { name, run } of generators) {
    const files = await run()
    expect(judgeGenerated(repositoryRoot, files).join('\n'), name).toBe('')
    for (const path of files.keys()) all.add(path)
  }
  expect(all.size).toBeGreaterThan(2)
  expect(findOrphans(repositoryRoot, all)).toEqual([])
})

test('a generated file that is missing, edited, orphaned or huge is found', () => {
  const root = mkdtempSync(join(tmpdir(), 'generated-'))
  onTestFinished(() => {
    rmSync(root, { recursive: true })
  })
  writeFileSync(join(root, '.gitignore'), '')
  const path = 'packages/a/src/generated/b.ts'
  const files = new Map([[path, 'fresh\n']])
  expect(judgeGenerated(root, files)).toEqual([`${path} is missing`])
  expect(writeGenerated(root, files)).toEqual([path])
  expect(readFileSync(join(root, path), 'utf8')).toBe('fresh\n')
  expect(judgeGenerated(root, files)).toEqual([])
  expect(writeGenerated(root, files)).toEqual([])
  writeFileSync(join(root, path), 'edited\n')
  expect(judgeGenerated(root, files)).toEqual([`${path} differs from a fresh generation`])
  expect(findOrphans(root, new Set())).toEqual([path])
  expect(judgeGenerated(root, new Map())).toEqual(['nothing was generated'])
  const huge = new Map([[path, 'x'.repeat(100_001)]])
  writeGenerated(root, huge)
  expect(judgeGenerated(root, huge)).toEqual([`${path} is 100001 bytes long`])
})
