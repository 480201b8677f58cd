/** The short form of `npm run chaos`. */
import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startPlainLoopbackProvider } from '../../../test/provider/start.ts'
import { runChaos } from './chaos/chaos.ts'
import { startMeteredNetwork } from './payment/metered-network.ts'
import { createGatewayFolder } from './support/start-gateway.ts'

const seed = Math.floor(Math.random() * 1_000_000)

test(
  `whatever is killed, cut, sent twice or refused: every sum is the same (seed ${seed})`,
  { timeout: 120_000 },
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
        kills: 2,
        calls: 40,
        seed,
        uptoPayers: 1,
        channelPayers: 2,
      })
      expect(tally.kills).toBe(2)
      expect(tally.served).toBeGreaterThan(5)
      expect(tally.receipts).toBeGreaterThan(10)
      expect(tally.channels).toBeGreaterThan(0)
      expect(tally.chargedAtomic).toBeGreaterThan(0n)
      expect(tally.chargedAtomic).toBe(tally.claimedAtomic)
      expect(tally.paidByUptoAtomic).toBeGreaterThan(0n)
    } finally {
      await provider.stop()
      await network.chain.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  },
)
