/** `run-schedules.ts [COUNT] [SEED]`: many random histories of the ledger; prints what they did. */
import { createTally, runSchedule } from './schedule.ts'

const [count = '1000000', firstSeed = '1'] = process.argv.slice(2)
const tally = createTally()
for (let seed = Number(firstSeed); seed < Number(firstSeed) + Number(count); seed++) {
  try {
    runSchedule(seed, tally)
  } catch (cause) {
    throw new Error(`the history of seed ${seed} breaks a rule`, { cause })
  }
}
process.stdout.write(`${JSON.stringify({ schedules: Number(count), firstSeed, ...tally })}\n`)
