/** The short form of `npm run chaos -- --workers 2`: one worker, then the whole gateway is killed between paid calls. */
import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startPlainLoopbackProvider } from '../../../test/provider/start.ts'
import { runChaos } from './chaos/chaos.ts'
import { startMeteredNetwork } from './payment/metered-network.ts'
import { createGatewayFolder } from './support/start-gateway.ts'

const seed = Math.floor(Math.random() * 1_000_000)

test(
  `every sum is the same when a worker dies among paid calls (seed ${seed})`,
  { timeout: 180_000 },
  async () => {
    const network = await startMeteredNetwork()
    const provider = await startPlainLoopbackProvider()
    const folder = createGatewayFolder()
    try {
      const tally = await runChaos({
        network,
        operator: await network.createOperator(),
        providerUrl: provider.url,
        folder,
        kills: 1,
        calls: 20,
        seed,
        uptoPayers: 1,
        channelPayers: 1,
        workers: 2,
      })
      expect(tally.workerKills).toBe(1)
      expect(tally.served).toBeGreaterThan(5)
      expect(tally.receipts).toBeGreaterThan(5)
      expect(tally.chargedAtomic).toBe(tally.claimedAtomic)
      expect(tally.chargedAtomic + tally.paidByUptoAtomic).toBeGreaterThan(0n)
    } finally {
      await provider.stop()
      await network.chain.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  },
)
