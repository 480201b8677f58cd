/**
 * `npm run generate`: writes every generated file of the repository. With `--check` it writes nothing and fails when
 * a committed file differs from a fresh generation.
 */
import { parseArgs } from 'node:util'
import { findOrphans, generators, judgeGenerated, writeGenerated } from './generators.ts'
import { requireNode } from './node-version.ts'
import { repositoryRoot } from './source-tree.ts'

requireNode()
const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const problems: string[] = []
const all = new Set<string>()
for (const { name, run } of generators) {
  const files = await run()
  for (const path of files.keys()) all.add(path)
  if (values.check) {
    problems.push(...judgeGenerated(repositoryRoot, files))
    console.log(`${name}: ${String(files.size)} files compared`)
  } else {
    const changed = writeGenerated(repositoryRoot, files)
    console.log(`${name}: ${String(files.size)} files, ${String(changed.length)} changed`)
    problems.push(...judgeGenerated(repositoryRoot, files))
  }
}
problems.push(
  ...findOrphans(repositoryRoot, all).map((path) => `${path} is written by no generator`),
)
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
