/**
 * `npm run check`: everything that a change must pass. Each step says what it looked at and how long it took; a step
 * that looked at nothing fails. All steps run, whatever fails before them. The test runner's counts come last.
 */
import { checkLicences } from './check/licences.ts'
import { checkLock } from './check/lock.ts'
import { checkFormat, checkLint, checkTypes, checkUnused } from './check/source-tools.ts'
import { requireNode } from './node-version.ts'
import { runTests } from './run-vitest.ts'
import { repositoryRoot } from './source-tree.ts'
import { formatCounts } from './test-report.ts'

const steps: readonly (readonly [string, (root: string) => string])[] = [
  ['node', () => requireNode()],
  ['lock', checkLock],
  ['licences', checkLicences],
  ['types', checkTypes],
  ['lint', checkLint],
  ['format', checkFormat],
  ['unused', checkUnused],
]

const failed: string[] = []
for (const [name, run] of steps) {
  const startedMs = performance.now()
  try {
    const seen = run(repositoryRoot)
    console.log(`ok     ${name.padEnd(10)} ${secondsSince(startedMs)}  ${seen}`)
  } catch (error) {
    failed.push(name)
    console.log(`FAILED ${name.padEnd(10)} ${secondsSince(startedMs)}`)
    console.log(error instanceof Error ? error.message : String(error))
  }
}

// Layers, the one verifier, file sizes and generated files are tests too.
const startedMs = performance.now()
const outcome = await runTests({ filters: [], coverage: true })
if (outcome.problems.length > 0) failed.push('tests')
const verdict = outcome.problems.length > 0 ? 'FAILED' : 'ok    '
console.log(`${verdict} tests      ${secondsSince(startedMs)}`)
if (failed.length > 0) console.log(`FAILED: ${failed.join(', ')}`)
process.exitCode = failed.length > 0 ? 1 : 0
console.log(formatCounts(outcome))

function secondsSince(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1).padStart(6)} s`
}
