/** `npm run chaos -- [--kills N] [--calls M] [--seed S] [--workers W]`: prints what happened and what was compared, as one line of JSON. */
import { rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startPlainLoopbackProvider } from '../../../../test/provider/start.ts'
import { startMeteredNetwork } from '../payment/metered-network.ts'
import { createGatewayFolder } from '../support/start-gateway.ts'
import { runChaos } from './chaos.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    calls: { type: 'string', default: '5000' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: '1' },
  },
})
const network = await startMeteredNetwork()
const provider = await startPlainLoopbackProvider()
const folder = createGatewayFolder()
try {
  const calls = Number(values.calls)
  const seed = Number(values.seed)
  // A payer pays for some 2,000 calls.
  const payers = Math.min(20, 2 + Math.ceil(calls / 2000))
  const tally = await runChaos({
    network,
    operator: await network.createOperator(),
    providerUrl: provider.url,
    folder,
    kills: Number(values.kills),
    calls,
    seed,
    uptoPayers: payers,
    channelPayers: payers,
    workers: Number(values.workers),
  })
  const text = JSON.stringify({ seed, ...tally }, (_, value: unknown) =>
    typeof value === 'bigint' ? `${value}` : value,
  )
  process.stdout.write(`${text}\n`)
} finally {
  await provider.stop()
  await network.chain.stop()
  rmSync(folder, { recursive: true, force: true })
}
