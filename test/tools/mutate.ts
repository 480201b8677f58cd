/**
 * `npm run mutate`: plants thousands of small faults in `protocol`, runs its tests against each, writes the score to
 * `docs/mutation.md`, and fails below the bound.
 */
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { runToolOrThrow } from './check/tool.ts'
import { readJsonObject } from './json-value.ts'
import { countMutants, formatQuality, parseMutationReport, scoreOf } from './mutation-report.ts'
import { requireNode } from './node-version.ts'
import { repositoryRoot } from './source-tree.ts'

const minimumScore = 90
/** Fewer mutants than this mean that most files were not looked at. */
const minimumMutants = 500

const version = requireNode()
const reportPath = join(repositoryRoot, 'reports/mutation.json')
rmSync(reportPath, { force: true })
const { status } = spawnSync('stryker', ['run', 'test/config/stryker.json'], {
  cwd: repositoryRoot,
  stdio: 'inherit',
  env: {
    ...process.env,
    PATH: `${join(repositoryRoot, 'node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
  },
})
const scores = parseMutationReport(readJsonObject(reportPath))
const commit = runToolOrThrow(repositoryRoot, ['git', 'rev-parse', '--short', 'HEAD']).trim()
const date = new Date().toISOString().slice(0, 10)
const page = formatQuality(scores, `${date}, commit ${commit}, Node ${version}`)
writeFileSync(join(repositoryRoot, 'docs/mutation.md'), page)
const score = scoreOf(scores)
const count = countMutants(scores)
console.log(`mutation score ${score.toFixed(1)} % of ${String(count)} mutants, in docs/mutation.md`)
process.exitCode = status === 0 && score >= minimumScore && count >= minimumMutants ? 0 : 1
