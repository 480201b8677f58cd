/**
 * `npm run chaos -- [--kills N] [--calls M] [--seed S] [--workers W]`: prints what happened and what was compared, as one
 * line of JSON. Without `--calls` there are 500 for each kill.
 */
import { parseArgs } from 'node:util'
import { runChaosAlone } from './chaos-network.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    calls: { type: 'string' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: '1' },
  },
})
const kills = Number(values.kills)
const calls = Number(values.calls ?? kills * 500)
const seed = Number(values.seed)
const startedMs = performance.now()
const tally = await runChaosAlone({
  kills,
  calls,
  seed,
  workers: Number(values.workers),
  onProgress: (line) => {
    console.error(line)
  },
})
const seconds = Math.round((performance.now() - startedMs) / 1000)
const text = JSON.stringify({ seed, seconds, ...tally }, (_, value: unknown) =>
  typeof value === 'bigint' ? `${value}` : value,
)
process.stdout.write(`${text}\n`)
