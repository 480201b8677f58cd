/**
 * Several workers that sell: the short form of `npm run chaos -- --workers 2`, where one worker, then the whole gateway
 * is killed between paid calls; and a price that changes.
 */
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { decodePaymentRequiredHeader } from '@x402/core/http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../../../test/attacks/waiting.ts'
import { startPlainLoopbackProvider, type LoopbackProvider } from '../../../test/provider/start.ts'
import { chooseSeed } from '../../../test/tampering/random.ts'
import { runChaos } from './chaos/chaos.ts'
import {
  chatBody,
  createMeteredOptions,
  startMeteredNetwork,
  type MeteredNetwork,
} from './payment/metered-network.ts'
import { createGatewayFolder, disposeGateway, startGateway } from './support/start-gateway.ts'
import { openLines, type WorkerLine } from './support/worker-lines.ts'

const lateProgram = fileURLToPath(new URL('support/late-gateway.ts', import.meta.url))

let network: MeteredNetwork
let provider: LoopbackProvider

beforeAll(async () => {
  network = await startMeteredNetwork()
  provider = await startPlainLoopbackProvider()
})

afterAll(async () => {
  await provider.stop()
  await network.chain.stop()
})

const seed = chooseSeed()

test(
  `every sum is the same when a worker dies among paid calls (seed ${seed})`,
  { timeout: 300_000 },
  async () => {
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
      rmSync(folder, { recursive: true, force: true })
    }
  },
)

/** What a call of this model costs by the list, which nobody waits for. */
async function listedPrice(line: WorkerLine): Promise<string> {
  const { body } = await line.call('/v1/models')
  const [, price = ''] = /"id":"flat".*?"amount":"([0-9]+)"/.exec(body.toString()) ?? []
  return price
}

async function quote(line: WorkerLine): Promise<string> {
  const path = '/v1/chat/completions'
  const answer = await line.call(path, { method: 'POST', body: chatBody('flat', false) })
  const offer = decodePaymentRequiredHeader(String(answer.headers['payment-required']))
  return offer.accepts[0]?.amount ?? ''
}

test('no caller is told a new price before every worker asks for it', async () => {
  const operator = await network.createOperator()
  const terms = { providerUrl: provider.url, workers: 2, batch: null, program: lateProgram }
  const options = { ...terms, folder: createGatewayFolder(), flatAtomic: '700' }
  const started = createMeteredOptions(network, operator, options)
  const gateway = await startGateway({ ...started, nodeFlags: ['--conditions=source'] })
  try {
    const lines = await openLines(gateway.url, 2)
    expect(await Promise.all(lines.map(quote))).toEqual(['700', '700'])
    gateway.reload(createMeteredOptions(network, operator, { ...options, flatAtomic: '800' }))
    const prices = async (): Promise<readonly string[]> => Promise.all(lines.map(listedPrice))
    let listed = await prices()
    const isTold = async (): Promise<boolean> => (listed = await prices()).includes('800')
    expect(await until(isTold, 60_000)).toBe(true)
    // One has the new configuration, and the other one has not heard of that yet.
    expect(listed.toSorted()).toEqual(['700', '800'])
    const told: string[] = []
    const early = lines[listed.indexOf('800')]
    if (early === undefined) throw new Error('no line')
    const asked = quote(early).then((amount) => told.push(amount))
    const others = await openLines(gateway.url, 2)
    expect(told).toEqual([])
    const late = /"worker":1,"pid":([0-9]+)/.exec(gateway.stderr())?.[1]
    process.kill(Number(late), 'SIGUSR2')
    await asked
    expect(told).toEqual(['800'])
    expect(await Promise.all(others.map(quote))).toEqual(['800', '800'])
    for (const line of [...lines, ...others]) line.close()
  } finally {
    await disposeGateway(gateway)
  }
})
