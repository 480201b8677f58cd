import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/** The long run is this program with 1000000. A process of its own is five times as fast as a test's. */
const program = fileURLToPath(new URL('./ledger/run-schedules.ts', import.meta.url))
const firstSeed = 7_000_000

test('no random history charges what was not signed, deposited or receipted', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=source',
    program,
    '20000',
    `${firstSeed}`,
  ])
  const tally = new Map(Object.entries(Object(JSON.parse(stdout))))
  expect(tally.get('schedules')).toBe(20_000)
  expect(tally.get('firstSeed')).toBe(`${firstSeed}`)
  expect(tally.get('events')).toBeGreaterThan(500_000)
  expect(tally.get('refused')).toBeGreaterThan(100_000)
  expect(tally.get('receipts')).toBeGreaterThan(20_000)
  expect(tally.get('uptoCharged')).toBeGreaterThan(1000)
  expect(tally.get('frozen')).toBeGreaterThan(100)
  expect(tally.get('retired')).toBeGreaterThan(1000)
  expect(tally.get('mostRunning')).toBeGreaterThan(5)
})
