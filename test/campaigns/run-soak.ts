/**
 * `npm run soak -- [--minutes N] [--workers N] [--seed N] [--out FILE]`: mixed calls and a thousand aborted streams a minute. The report
 * goes to standard output, and into the file.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { chooseSeed } from '../tampering/random.ts'
import { soak } from './soak.ts'

const usage = 'Usage: npm run soak -- [--minutes 30] [--workers 1] [--seed N] [--out FILE]'
const wantedPerMinute = 950
/** As many as a process keeps in memory, and a tenth: with several workers the kernel draws lots. */
const keptRefusals = 4500
const options = {
  minutes: { type: 'string' },
  workers: { type: 'string' },
  seed: { type: 'string' },
  out: { type: 'string' },
} as const
const { values } = parseArgs({ options })
const minutes = Number(values.minutes ?? '30')
const workers = Number(values.workers ?? '1')
const seed = Number(values.seed ?? chooseSeed())
const isWorkers = Number.isInteger(workers) && workers >= 1 && workers <= 64
if (!(minutes > 0 && minutes <= 10_000) || !isWorkers || !Number.isInteger(seed)) {
  console.error(usage)
  process.exit(64)
}
const report = await soak({
  minutes,
  seed,
  workers,
  refusals: keptRefusals * workers,
  onProgress: (line) => {
    console.error(line)
  },
})
const { answered, left } = report
// What was not asked of the gateway was not survived by it.
const leftPerMinute = Math.round(left / minutes)
const isSlow = leftPerMinute < wantedPerMinute
const faults = [
  ...report.faults,
  ...(isSlow ? [`only ${String(leftPerMinute)} streams were left in a minute: too slow here`] : []),
]
const text = JSON.stringify(
  {
    date: new Date().toISOString(),
    commit: execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).trim(),
    node: process.version,
    cores: availableParallelism(),
    loadOfFiveMinutes: loadavg()[1],
    ...report,
    faults,
  },
  null,
  2,
)
console.log(text)
if (values.out !== undefined) writeFileSync(values.out, `${text}\n`)
for (const fault of faults) console.error(fault)
console.log(
  `${faults.length === 0 ? 'PASSED' : 'FAILED'} ${String(minutes)} minutes: ${String(answered)} calls answered, ${String(left)} streams left`,
)
process.exitCode = faults.length === 0 ? 0 : 1
