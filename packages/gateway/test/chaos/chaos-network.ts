/** Everything that a run of the chaos needs, from the chain to the build of the gateway, made and removed again. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPlainLoopbackProvider } from '../../../../test/provider/start.ts'
import { bundleGateway } from '../../../../test/tools/enclave/bundle-gateway.ts'
import { startMeteredNetwork } from '../payment/metered-network.ts'
import { createGatewayFolder } from '../support/start-gateway.ts'
import { runChaos, type ChaosOptions, type ChaosTally } from './chaos.ts'

const root = fileURLToPath(new URL('../../../..', import.meta.url))

/**
 * Runs the chaos on a network of its own. The gateway is the measured build of these sources (spec/build.md): it starts
 * in half the time.
 *
 * @throws AssertionError when any sum differs from another.
 */
export async function runChaosAlone(
  options: Pick<ChaosOptions, 'kills' | 'calls' | 'seed' | 'workers' | 'onProgress'>,
): Promise<ChaosTally> {
  // All that its calls can cost: some 30 each.
  const balanceAtomic = 100_000n + 100n * BigInt(options.calls)
  const build = createGatewayFolder()
  const folder = createGatewayFolder()
  const { files } = await bundleGateway(root)
  for (const [name, bytes] of files) writeFileSync(join(build, name), bytes)
  const network = await startMeteredNetwork(balanceAtomic)
  const provider = await startPlainLoopbackProvider()
  try {
    return await runChaos({
      ...options,
      network,
      operator: await network.createOperator(),
      providerUrl: provider.url,
      folder,
      uptoPayers: 8,
      channelPayers: 12,
      uptoPercent: 15,
      depositAtomic: (balanceAtomic * 9n) / 10n,
      callers: 24,
      program: join(build, 'gateway.js'),
    })
  } finally {
    await provider.stop()
    await network.chain.stop()
    rmSync(folder, { recursive: true, force: true })
    rmSync(build, { recursive: true, force: true })
  }
}
