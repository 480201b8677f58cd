/**
 * `npm run contracts:fuzz [-- --parts 10]`: the Solidity tests with a million invariant calls, in parts with a seed each: what
 * passed is known when a run is ended early. `--gas` runs them as every test run does and writes the gas that it
 * measured, for a change that means to change it.
 */

import { writeFileSync } from 'node:fs'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { findForge, gasFile, runForge, type ForgeReport } from './forge.ts'

const { values } = parseArgs({
  options: {
    gas: { type: 'boolean', default: false },
    parts: { type: 'string', default: '10' },
  },
})
const forge = findForge()
if (forge === undefined) {
  console.error('npm installed no forge for this platform')
  process.exitCode = 1
} else if (values.gas) {
  const report = await runForge(forge, 'default')
  tell(report)
  const sorted = [...report.gas].toSorted(([a], [b]) => (a < b ? -1 : 1))
  writeFileSync(gasFile, `${JSON.stringify(Object.fromEntries(sorted), undefined, 2)}\n`)
} else {
  await runParts(forge, Number(values.parts))
}

async function runParts(program: string, parts: number): Promise<void> {
  const startedMs = performance.now()
  let invariantCalls = 0
  let fuzzRuns = 0
  for (let seed = 1; seed <= parts && process.exitCode === undefined; seed++) {
    const report = await runForge(program, 'long', seed)
    invariantCalls += report.invariantCalls
    fuzzRuns += report.fuzzRuns
    const isBroken = [...report.outcomes.values()].some((reason) => reason !== '')
    if (seed === 1 || isBroken) tell(report)
    const seconds = Math.round((performance.now() - startedMs) / 1000)
    console.log(
      `seeds 1 to ${seed}: ${invariantCalls} invariant calls, ${fuzzRuns} fuzz runs, ${seconds} s`,
    )
  }
}

function tell({ outcomes }: ForgeReport): void {
  for (const [test, reason] of outcomes) {
    console.log(reason === '' ? `ok     ${test}` : `FAILED ${test}: ${reason}`)
    if (reason !== '') process.exitCode = 1
  }
}
