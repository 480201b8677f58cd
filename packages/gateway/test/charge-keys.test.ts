/** Charge keys change while channels stay: a real gateway process, a real chain, calls all the while (PA28). */
import { wrapFetchWithPayment } from '@x402/fetch'
import { decodePaymentResponseHeader } from '@x402/core/http'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fromBase64url } from '@countersign/protocol/bytes/text-encoding'
import { parseKeyset, type Keyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import type { Hex } from 'viem'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startPlainLoopbackProvider, type LoopbackProvider } from '../../../test/provider/start.ts'
import {
  chatBody,
  createMeteredClient,
  post,
  quoteIn,
  signFor,
  startMeteredGateway,
  startMeteredNetwork,
  type MeteredNetwork,
  type MeteredOperator,
} from './payment/metered-network.ts'
import { createGatewayFolder, type RunningGateway } from './support/start-gateway.ts'

type Options = Partial<Parameters<typeof startMeteredGateway>[2]>

let network: MeteredNetwork
let provider: LoopbackProvider
// Processes and blocks of a second each, on a machine that may have other work.
const slow = { timeout: 240_000 }
const claimAtOnce = { maxUnclaimedAtomic: '1' }
const body = chatBody('loopback-echo', false)

beforeAll(async () => {
  network = await startMeteredNetwork()
  provider = await startPlainLoopbackProvider({ models: ['flat'] })
})
afterAll(async () => {
  await provider.stop()
  await network.chain.stop()
})

/** A folder with a file of keys, and gateways on it. */
function createPlace(operator: MeteredOperator): {
  readonly write: (...keys: readonly Hex[]) => void
  readonly start: (options?: Options) => Promise<RunningGateway>
} {
  const folder = createGatewayFolder()
  const chargeKeysFile = join(folder, 'charge-keys')
  const started: RunningGateway[] = []
  onTestFinished(async () => {
    for (const gateway of started) await gateway.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    write: (...keys) => {
      writeFileSync(chargeKeysFile, `${keys.join('\n')}\n`, { mode: 0o600 })
    },
    start: async (options = {}) => {
      const limits = { totalTimeoutMs: 60_000 }
      const { url: providerUrl } = provider
      const gateway = await startMeteredGateway(network, operator, {
        providerUrl,
        folder,
        chargeKeysFile,
        limits,
        batch: claimAtOnce,
        ...options,
      })
      started.push(gateway)
      return gateway
    },
  }
}

async function keysetOf({ url }: Pick<RunningGateway, 'url'>): Promise<Keyset> {
  const answer = await fetch(`${url}/v1/attestation?nonce=${'00'.repeat(32)}`)
  const { keyset }: { readonly keyset: string } = JSON.parse(await answer.text())
  const { payload } = parseStatement(fromBase64url(keyset) ?? new Uint8Array(0))
  if (payload.type !== 'keyset') throw new Error('no keyset')
  return parseKeyset(payload.document)
}

async function readinessOf({ url }: RunningGateway): Promise<readonly [number, unknown]> {
  const answer = await fetch(`${url}/readyz`)
  return [answer.status, JSON.parse(await answer.text())]
}

/** Pays one call after the other from one channel, until it is told to stop. */
function payOn(key: Hex): {
  readonly use: (gateway: RunningGateway) => void
  readonly served: () => number
  readonly failed: () => readonly string[]
  readonly stop: () => Promise<void>
} {
  const paidFetch = wrapFetchWithPayment(
    fetch,
    createMeteredClient(network, key, 'batch-settlement'),
  )
  let url = ''
  let served = 0
  const state = { isOver: false }
  const failed: string[] = []
  async function run(): Promise<void> {
    while (!state.isOver) {
      try {
        const answer = await paidFetch(`${url}/v1/chat/completions`, { method: 'POST', body })
        const text = await answer.text()
        if (answer.status === 200) served += 1
        else failed.push(text)
      } catch (error) {
        failed.push(String(error))
        // Nobody listens any more, or not yet.
        await setTimeout(20)
      }
    }
  }
  let running: Promise<void> | undefined
  return {
    use: (gateway) => {
      url = gateway.url
      running ??= run()
    },
    served: () => served,
    failed: () => failed,
    stop: async () => {
      state.isOver = true
      await running
    },
  }
}

/** Within a bound, since blocks take a second. */
async function until(isSo: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const end = performance.now() + 60_000
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`never: ${what}`)
    await setTimeout(50)
  }
}

/** What a call more costs, and what the channel was charged in all. */
async function chargeOnce(
  gateway: RunningGateway,
  key: Hex,
): Promise<{ readonly channelId: Hex; readonly cumulativeAtomic: bigint }> {
  const client = createMeteredClient(network, key, 'batch-settlement')
  const paidFetch = wrapFetchWithPayment(fetch, client)
  const answer = await paidFetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', body })
  expect(answer.status, await answer.clone().text()).toBe(200)
  const { extra } = decodePaymentResponseHeader(answer.headers.get('payment-response') ?? '')
  const state: { readonly channelId: Hex; readonly chargedCumulativeAmount: string } = JSON.parse(
    JSON.stringify(extra?.['channelState']),
  )
  return { channelId: state.channelId, cumulativeAtomic: BigInt(state.chargedCumulativeAmount) }
}

test('another key takes over under load, over a kill; both have claimed', slow, async () => {
  const operator = await network.createOperator()
  const first = operator.settlementKey
  const second = generatePrivateKey()
  const names = [privateKeyToAddress(first), privateKeyToAddress(second)] as const
  const place = createPlace(operator)
  place.write(first)
  let gateway = await place.start()
  const key = network.createChannelPayer()
  const { channelId } = await chargeOnce(gateway, key)
  const claimed = async (): Promise<bigint> => (await network.channelOf(channelId))[1]
  const load = payOn(key)
  load.use(gateway)
  await until(async () => load.served() > 3 && (await claimed()) > 0n, 'a claim by the first key')

  // The next key: announced by a keyset before anybody trusts it.
  place.write(first, second)
  process.kill(gateway.pid, 'SIGHUP')
  await gateway.logged('configuration was reloaded')
  expect(await keysetOf(gateway)).toMatchObject({
    settlementAddress: names[0],
    otherChargeKeys: [names[1]],
  })
  await operator.trustKey(second)
  process.kill(gateway.pid, 'SIGHUP')
  await gateway.logged('configuration was reloaded', 2)
  expect(await keysetOf(gateway)).toMatchObject({
    settlementAddress: names[1],
    otherChargeKeys: [names[0]],
  })

  // From here on no signature of the first one counts any more.
  await operator.revokeKey(first)
  const before = load.served()
  const claimedBefore = await claimed()
  await until(async () => (await claimed()) > claimedBefore, 'a claim by the second key')
  // A claim may come sooner than the next answer.
  await until(() => load.served() > before, 'a call by the second key')
  expect(load.failed()).toEqual([])

  await gateway.kill()
  gateway = await place.start()
  load.use(gateway)
  const afterKill = load.served()
  await until(() => load.served() > afterKill + 2, 'calls after the kill')
  await load.stop()
  expect(await keysetOf(gateway)).toMatchObject({ settlementAddress: names[1] })
  const { cumulativeAtomic } = await chargeOnce(gateway, key)
  await until(async () => (await claimed()) === cumulativeAtomic, 'everything is claimed, once')
})

test(
  'by a key that nobody trusts nothing metered is sold, and everything as soon as it is',
  slow,
  async () => {
    const operator = await network.createOperator()
    const key = generatePrivateKey()
    const place = createPlace(operator)
    place.write(key)
    const gateway = await place.start()
    expect(await readinessOf(gateway)).toEqual([
      503,
      { status: 'not-ready', metered: 'charge-key-untrusted' },
    ])
    const unpaid = await post(gateway, body)
    expect(unpaid.status).toBe(503)
    expect(unpaid.body.toString()).toContain('charge-key-untrusted')
    expect(unpaid.headers['retry-after']).toBeDefined()
    expect(unpaid.headers['payment-required']).toBeUndefined()
    await operator.trustKey(key)
    await gateway.logged('"isSelling":true')
    expect(await readinessOf(gateway)).toEqual([200, { status: 'ready', metered: 'sold' }])
    const client = createMeteredClient(network, network.createChannelPayer(), 'batch-settlement')
    const payment = await signFor(client, gateway, body)
    // The guardian ends it: what was signed for it is refused, and a deposit not even sent.
    await operator.revokeKey(key)
    process.kill(gateway.pid, 'SIGHUP')
    await gateway.logged('configuration was reloaded')
    const refused = await post(gateway, body, payment)
    expect([refused.status, refused.body.toString()]).toEqual([
      503,
      expect.stringContaining('charge-key-untrusted'),
    ])
  },
)

test(
  'a fixed price is offered by exact alone while the charge key is not trusted',
  slow,
  async () => {
    const operator = await network.createOperator()
    const place = createPlace(operator)
    place.write(generatePrivateKey())
    const gateway = await place.start({ exact: true })
    expect(await readinessOf(gateway)).toEqual([
      200,
      { status: 'ready', metered: 'charge-key-untrusted' },
    ])
    const { accepts } = quoteIn(await post(gateway, chatBody('flat', false)))
    expect(accepts.map(({ scheme }) => scheme)).toEqual(['exact'])
    expect((await post(gateway, body)).status).toBe(503)
  },
)

test(
  'a key near its end sells nothing, claims what is owed, and cannot be put in the place of a good one',
  slow,
  async () => {
    const operator = await network.createOperator()
    const { timestamp } = await network.chain.client.getBlock()
    // The longest call and a minute are more than that.
    const ending = await operator.attestKey(Number(timestamp) + 100)
    const place = createPlace(operator)
    place.write(operator.settlementKey)
    const patient = { maxUnclaimedAtomic: '1000000' }
    const first = await place.start({ batch: patient })
    const key = network.createChannelPayer()
    const { channelId, cumulativeAtomic } = await chargeOnce(first, key)
    place.write(ending)
    process.kill(first.pid, 'SIGHUP')
    await first.logged('configuration was not reloaded')
    expect(first.stderr()).toContain(privateKeyToAddress(operator.settlementKey))
    expect(await readinessOf(first)).toMatchObject([200, { metered: 'sold' }])
    await first.stop()
    expect((await network.channelOf(channelId))[1]).toBe(0n)
    const second = await place.start({ batch: patient })
    expect(await readinessOf(second)).toMatchObject([503, { metered: 'charge-key-untrusted' }])
    await until(
      async () => (await network.channelOf(channelId))[1] === cumulativeAtomic,
      'what is owed is claimed by the ending key',
    )
  },
)

test('several workers have one set of keys, and take others together', slow, async () => {
  const operator = await network.createOperator()
  const second = generatePrivateKey()
  const place = createPlace(operator)
  place.write(operator.settlementKey)
  const gateway = await place.start({ workers: 2 })
  await chargeOnce(gateway, network.createChannelPayer())
  await operator.trustKey(second)
  place.write(second, operator.settlementKey)
  process.kill(gateway.pid, 'SIGHUP')
  await gateway.logged('configuration was reloaded')
  const named = [privateKeyToAddress(second), privateKeyToAddress(operator.settlementKey)]
  // Connections go to either worker.
  for (let time = 0; time < 6; time++) {
    const { settlementAddress, otherChargeKeys = [] } = await keysetOf(gateway)
    expect([settlementAddress, ...otherChargeKeys]).toEqual(named)
  }
  const terms = await fetch(`${gateway.url}/v1/terms`)
  expect(terms.status).toBe(200)
  await chargeOnce(gateway, network.createChannelPayer())
})
