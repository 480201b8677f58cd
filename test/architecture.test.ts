import { expect, test } from 'vitest'
import { describeViolations, findCycles, readImportGraph } from './tools/rules/import-graph.ts'
import { countImports, judgeLayers } from './tools/rules/layers.ts'
import { readModules } from './tools/rules/module-facts.ts'
import { countVerifierMentions, judgeOneVerifier } from './tools/rules/one-verifier.ts'
import {
  judgeBarrels,
  judgeFileSizes,
  judgeLooseEnds,
  judgeNames,
  judgeRootEntries,
  listSources,
} from './tools/rules/tree-rules.ts'
import { readSourceTree, repositoryRoot } from './tools/source-tree.ts'

const tree = readSourceTree(repositoryRoot)
const modules = readModules(tree)
const edges = readImportGraph(tree, modules)

test('imports go only where the layers allow', () => {
  expect(describeViolations(judgeLayers(edges))).toBe('')
})

test('the layers were judged by imports of every package and of the tests', () => {
  const counts = countImports(edges)
  const packages = new Set(
    modules.flatMap(({ path }) => /^packages\/([^/]+)\/src\//.exec(path)?.[1] ?? []),
  )
  expect([...packages].toSorted()).toEqual(['client', 'contracts', 'gateway', 'protocol'])
  for (const name of [...packages, 'test']) {
    expect(counts.get(name) ?? 0, `imports seen in ${name}`).toBeGreaterThan(5)
  }
})

test('no file reaches itself through its imports, not even through types', () => {
  expect(describeViolations(findCycles(edges))).toBe('')
})

test('only the verifier of protocol judges signatures', () => {
  expect(countVerifierMentions(modules)).toBeGreaterThan(3)
  expect(describeViolations(judgeOneVerifier(modules))).toBe('')
})

test('no source file is too long', () => {
  expect(listSources(tree).length).toBeGreaterThan(50)
  expect(describeViolations(judgeFileSizes(tree))).toBe('')
})

test('the root holds few entries', () => {
  expect(tree.rootEntries).toContain('package.json')
  expect(describeViolations(judgeRootEntries(tree))).toBe('')
})

test('files and folders are called after what they hold', () => {
  expect(describeViolations(judgeNames(tree))).toBe('')
})

test('only the index of a package re-exports', () => {
  expect(modules.length).toBeGreaterThan(50)
  expect(describeViolations(judgeBarrels(modules))).toBe('')
})

test('packages hold no any, no switched-off check and nothing to do later', () => {
  expect(describeViolations(judgeLooseEnds(modules))).toBe('')
})
