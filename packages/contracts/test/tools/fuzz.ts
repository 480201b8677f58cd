/**
 * `npm run contracts:fuzz`: the Solidity tests with a million invariant calls. `--gas` runs them as every test run does
 * and writes the gas that it measured, for a change that means to change it.
 */

import { writeFileSync } from 'node:fs'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { findForge, gasFile, runForge } from './forge.ts'

const { values } = parseArgs({ options: { gas: { type: 'boolean', default: false } } })
const forge = findForge()
if (forge === undefined) {
  console.error('npm installed no forge for this platform')
  process.exitCode = 1
} else {
  const report = await runForge(forge, values.gas ? 'default' : 'long')
  for (const [test, reason] of report.outcomes) {
    console.log(reason === '' ? `ok     ${test}` : `FAILED ${test}: ${reason}`)
    if (reason !== '') process.exitCode = 1
  }
  console.log(`${report.invariantCalls} invariant calls, ${report.fuzzRuns} fuzz runs`)
  if (values.gas) {
    const sorted = [...report.gas].toSorted(([a], [b]) => (a < b ? -1 : 1))
    writeFileSync(gasFile, `${JSON.stringify(Object.fromEntries(sorted), undefined, 2)}\n`)
  }
}
