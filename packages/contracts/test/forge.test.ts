import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { findForge, findUnformatted, gasFile, runForge } from './tools/forge.ts'

const forge = findForge()
const absence = forge === undefined ? ' (skipped: no forge for this platform)' : ''

test(
  `every Solidity test passes, ten thousand invariant calls among them, for the committed gas${absence}`,
  { skip: forge === undefined, timeout: 1_800_000 },
  async () => {
    const report = await runForge(forge ?? '', 'default')
    const failures = [...report.outcomes].filter(([, reason]) => reason !== '')
    expect(failures).toEqual([])
    expect(report.outcomes.size).toBeGreaterThan(40)
    expect(report.invariantCalls).toBeGreaterThanOrEqual(10_000)
    expect(report.fuzzRuns).toBeGreaterThan(1000)
    // Exact, because the compiler and the prices of the hard fork are fixed. After a change that means it:
    // node --conditions=source packages/contracts/test/tools/fuzz.ts --gas
    expect(Object.fromEntries(report.gas)).toEqual(JSON.parse(readFileSync(gasFile, 'utf8')))
  },
)

test(
  `Solidity is written as forge formats it${absence}`,
  { skip: forge === undefined },
  async () => {
    expect(await findUnformatted(forge ?? '')).toBe('')
  },
)
