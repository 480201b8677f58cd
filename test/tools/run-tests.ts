/**
 * `npm test`: runs all tests, names each skipped one with its reason, and ends with the counts as a plain last line.
 *
 * `npm test -- [--coverage] [part of a file name…]`
 */
import { parseArgs } from 'node:util'
import { requireNode } from './node-version.ts'
import { runTests } from './run-vitest.ts'
import { formatCounts } from './test-report.ts'

const { values, positionals } = parseArgs({
  options: { coverage: { type: 'boolean', default: false } },
  allowPositionals: true,
})
console.log(`node ${requireNode()}`)
const outcome = await runTests({ filters: positionals, coverage: values.coverage })
process.exitCode = outcome.problems.length === 0 ? 0 : 1
console.log(formatCounts(outcome))
