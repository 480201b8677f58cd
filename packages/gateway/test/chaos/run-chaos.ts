/**
 * `npm run chaos -- [--kills N] [--calls M] [--seed S]`: prints what happened and what was compared, as one line of JSON.
 * The gateway is the measured build of these sources (spec/build.md): it starts in half the time.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startPlainLoopbackProvider } from '../../../../test/provider/start.ts'
import { bundleGateway } from '../../../../test/tools/enclave/bundle-gateway.ts'
import { startMeteredNetwork } from '../payment/metered-network.ts'
import { createGatewayFolder } from '../support/start-gateway.ts'
import { runChaos } from './chaos.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    calls: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
})
const kills = Number(values.kills)
const calls = Number(values.calls ?? kills * 500)
const seed = Number(values.seed)
const callers = 24
// All that its calls can cost: some 30 each.
const balanceAtomic = 100_000n + 100n * BigInt(calls)

const build = createGatewayFolder()
const { files } = await bundleGateway(fileURLToPath(new URL('../../../..', import.meta.url)))
for (const [name, bytes] of files) writeFileSync(join(build, name), bytes)
const network = await startMeteredNetwork(balanceAtomic)
const provider = await startPlainLoopbackProvider()
const folder = createGatewayFolder()
const startedMs = performance.now()
try {
  const tally = await runChaos({
    network,
    operator: await network.createOperator(),
    providerUrl: provider.url,
    folder,
    kills,
    calls,
    seed,
    uptoPayers: 8,
    channelPayers: 12,
    uptoPercent: 15,
    depositAtomic: (balanceAtomic * 9n) / 10n,
    callers,
    program: join(build, 'gateway.js'),
    onProgress: (line) => {
      console.error(line)
    },
  })
  const seconds = Math.round((performance.now() - startedMs) / 1000)
  const text = JSON.stringify({ seed, seconds, ...tally }, (_, value: unknown) =>
    typeof value === 'bigint' ? `${value}` : value,
  )
  process.stdout.write(`${text}\n`)
} finally {
  await provider.stop()
  await network.chain.stop()
  rmSync(folder, { recursive: true, force: true })
  rmSync(build, { recursive: true, force: true })
}
