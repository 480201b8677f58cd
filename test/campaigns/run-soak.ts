/** `npm run soak -- [--minutes N] [--seed N]`: mixed calls and a thousand aborted streams a minute. */
import { parseArgs } from 'node:util'
import { chooseSeed } from '../tampering/random.ts'
import { soak } from './soak.ts'

const usage = 'Usage: npm run soak -- [--minutes 30] [--seed N]'
const wantedPerMinute = 950
/** As many as the gateway keeps in memory. */
const keptRefusals = 4096
const options = { minutes: { type: 'string' }, seed: { type: 'string' } } as const
const { values } = parseArgs({ options })
const minutes = Number(values.minutes ?? '30')
const seed = Number(values.seed ?? chooseSeed())
if (!(minutes > 0 && minutes <= 10_000) || !Number.isInteger(seed)) {
  console.error(usage)
  process.exit(64)
}
const report = await soak({
  minutes,
  seed,
  refusals: keptRefusals,
  onProgress: (line) => {
    console.error(line)
  },
})
console.log(JSON.stringify(report, null, 2))
const { answered, left } = report
// What was not asked of the gateway was not survived by it.
const leftPerMinute = Math.round(left / minutes)
const isSlow = leftPerMinute < wantedPerMinute
const faults = [
  ...report.faults,
  ...(isSlow ? [`only ${String(leftPerMinute)} streams were left in a minute: too slow here`] : []),
]
for (const fault of faults) console.error(fault)
console.log(
  `${faults.length === 0 ? 'PASSED' : 'FAILED'} ${String(minutes)} minutes: ${String(answered)} calls answered, ${String(left)} streams left`,
)
process.exitCode = faults.length === 0 ? 0 : 1
