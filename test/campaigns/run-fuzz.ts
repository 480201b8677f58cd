/** `npm run fuzz -- splits [--count N] [--seed N]`: random splits of streams through a real gateway. */
import { parseArgs } from 'node:util'
import { chooseSeed } from '../tampering/random.ts'
import { fuzzSplits } from './fuzz-splits.ts'

const usage = 'Usage: npm run fuzz -- splits [--count 100000] [--seed N]'
const options = { count: { type: 'string' }, seed: { type: 'string' } } as const
const { values, positionals } = parseArgs({ options, allowPositionals: true })
const count = Number(values.count ?? '100000')
const seed = Number(values.seed ?? chooseSeed())
if (positionals.join(' ') !== 'splits' || !Number.isInteger(count) || !Number.isInteger(seed)) {
  console.error(usage)
  process.exit(64)
}
let told = 0
const startedMs = performance.now()
const report = await fuzzSplits(count, seed, {
  onProgress: (splits) => {
    if (splits < told) return
    console.error(`${String(splits)} of ${String(count)}`)
    told = splits + Math.ceil(count / 10)
  },
})
const seconds = Math.round((performance.now() - startedMs) / 1000)
console.log(JSON.stringify({ ...report, seconds }, null, 2))
const isDone = report.splits >= count && report.faults.length === 0
console.log(isDone ? `PASSED ${String(report.splits)} splits` : 'FAILED')
process.exitCode = isDone ? 0 : 1
