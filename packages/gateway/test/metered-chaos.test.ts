/** The short form of `npm run chaos`: 20 kills and 5,000 calls where `.ci/run` asks for them, else a taste of it. */
import { expect, test } from 'vitest'
import { chooseSeed } from '../../../test/tampering/random.ts'
import { runChaosAlone } from './chaos/chaos-network.ts'

const seed = chooseSeed()
const isFull = process.env['COUNTERSIGN_CHAOS'] === 'full'
const { kills, calls } = isFull ? { kills: 20, calls: 5000 } : { kills: 2, calls: 60 }

test(
  `whatever is killed, cut, sent twice or refused: every sum is the same (${kills} kills, seed ${seed})`,
  { timeout: isFull ? 1_800_000 : 300_000 },
  async () => {
    const tally = await runChaosAlone({ kills, calls, seed })
    console.log(
      JSON.stringify(tally, (_, value: unknown) =>
        typeof value === 'bigint' ? `${value}` : value,
      ),
    )
    expect(tally.kills).toBe(kills)
    expect(tally.calls).toBeGreaterThanOrEqual(calls)
    // The others were cut, left, or failed by their model: in the taste of it perhaps nearly all.
    expect(tally.served).toBeGreaterThan(isFull ? calls / 10 : 0)
    expect(tally.receipts).toBeGreaterThan(isFull ? calls / 4 : 0)
    expect(tally.channels).toBeGreaterThan(0)
    expect(tally.chargedAtomic).toBeGreaterThan(0n)
    expect(tally.chargedAtomic).toBe(tally.claimedAtomic)
    if (isFull) expect(tally.paidByUptoAtomic).toBeGreaterThan(0n)
  },
)
