/** A real gateway brings its earnings to the operator, whatever is killed when (spec/payment.md PA31.5). */
import { rmSync } from 'node:fs'
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { gatewayPayeeAbi } from '@countersign/contracts/gateway-payee'
import { decodeFunctionData, parseAbi, parseTransaction, type Hex } from 'viem'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { callRaw } from '../../../test/provider/raw-client.ts'
import { startPlainLoopbackProvider, type LoopbackProvider } from '../../../test/provider/start.ts'
import {
  chatBody,
  createMeteredClient,
  createMeteredOptions,
  post,
  signFor,
  startMeteredNetwork,
  type MeteredNetwork,
  type MeteredOperator,
  type MeteredOptions,
} from './payment/metered-network.ts'
import { createStockClient } from './payment/payer.ts'
import { startRpcProxy, type RpcProxy, type Verdict } from './payment/rpc-proxy.ts'
import { fetchReceipt, receiptOf } from './support/receipts.ts'
import { createGatewayFolder, startGateway, type RunningGateway } from './support/start-gateway.ts'

let network: MeteredNetwork
let provider: LoopbackProvider
beforeAll(async () => {
  network = await startMeteredNetwork()
  provider = await startPlainLoopbackProvider({ models: ['flat'] })
})
afterAll(async () => {
  await provider.stop()
  await network.chain.stop()
})

const soon = { timeout: 60_000, interval: 100 }
const steps = parseAbi(['function settle(address, address)', 'function forward(address)'])
type StepName = 'settle' | 'forward'

/** A gateway on a folder of its own, behind a proxy that sees what it sends. */
type Place = {
  readonly operator: MeteredOperator
  readonly proxy: RpcProxy
  /** The bytes of collecting that were sent, by their step. */
  readonly sent: Readonly<Record<StepName, Set<string>>>
  start(more?: Partial<MeteredOptions>, changes?: object): Promise<RunningGateway>
  /**
   * Kills the gateway when it sends this step for the first time from now on, also while it starts; the node then has it,
   * or has not.
   */
  killAt(
    gateway: RunningGateway | Promise<RunningGateway>,
    step: StepName,
    verdict: Verdict,
    /** Done before the kill. */
    first?: () => Promise<unknown>,
  ): Promise<void>
}

async function openPlace(given: Partial<MeteredOptions>): Promise<Place> {
  const operator = await network.createOperator()
  const folder = createGatewayFolder()
  const proxy = await startRpcProxy(network.chain.rpcUrl)
  const sent = { settle: new Set<string>(), forward: new Set<string>() }
  // Owned by killAt.
  let trap: ((step: StepName) => Verdict) | undefined
  proxy.rule = (method, [raw]) => {
    if (method !== 'eth_sendRawTransaction') return 'forward'
    const step = stepOf(raw, operator)
    if (step === undefined) return 'forward'
    sent[step].add(String(raw))
    return trap?.(step) ?? 'forward'
  }
  onTestFinished(async () => {
    await proxy.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    operator,
    proxy,
    sent,
    start: async (more = {}, changes = {}) => {
      const options = createMeteredOptions(network, operator, {
        providerUrl: provider.url,
        folder,
        rpcUrl: proxy.url,
        ...given,
        ...more,
      })
      const config = { ...options.config, ...changes }
      const gateway = await startGateway({ ...options, config })
      onTestFinished(async () => {
        await gateway.kill()
      })
      return gateway
    },
    killAt: async (gateway, step, verdict, first) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      trap = (each) => {
        if (each !== step) return 'forward'
        resolve()
        return verdict
      }
      const running = await gateway
      await first?.()
      await promise
      await running.kill()
      trap = undefined
    },
  }
}

function stepOf(raw: unknown, { payee }: MeteredOperator): StepName | undefined {
  const { to, data = '0x' } = parseTransaction(`0x${String(raw).slice(2)}`)
  const target = to?.toLowerCase()
  const isOurs =
    target === payee.toLowerCase() || target === baseSepoliaX402.batchSettlement.toLowerCase()
  if (!isOurs) return undefined
  try {
    return decodeFunctionData({ abi: steps, data }).functionName
  } catch {
    // Another call of the batch contract.
    return undefined
  }
}

async function pay(
  gateway: RunningGateway,
  client: Parameters<typeof signFor>[0],
  model: string,
): Promise<bigint> {
  const body = chatBody(model, false)
  const answer = await post(gateway, body, await signFor(client, gateway, body))
  expect(answer.status, answer.body.toString()).toBe(200)
  const { payload } = await fetchReceipt(gateway.url, receiptOf(answer.headers).id, null, 10)
  if (payload.charge.scheme === 'none') throw new Error('nothing was charged')
  return payload.charge.amountAtomic
}

const claimedFor = async (payee: Hex): Promise<bigint> => {
  const [claimed, settled] = await network.chain.client.readContract({
    address: baseSepoliaX402.batchSettlement,
    abi: batchSettlementAbi,
    functionName: 'receivers',
    args: [payee, baseSepoliaUsdc.address],
  })
  return claimed - settled
}

/** What the payee passed on, by its own events. */
async function forwarded(payee: Hex): Promise<readonly (bigint | undefined)[]> {
  const logs = await network.chain.client.getContractEvents({
    address: payee,
    abi: gatewayPayeeAbi,
    eventName: 'Forwarded',
    fromBlock: 0n,
  })
  return logs.map(({ args }) => args.amount)
}

async function ask(gateway: RunningGateway, path: string): Promise<string> {
  return (await callRaw({ url: `${gateway.url}${path}` })).body.toString()
}

test('earnings of all schemes reach the owner, once, over three kills', async () => {
  const place = await openPlace({ exact: true, batch: { maxUnclaimedAtomic: '1' } })
  const { operator, sent } = place
  const { payee, terms } = operator
  const first = await place.start()
  const client = createMeteredClient(network, network.createChannelPayer(), 'batch-settlement')
  const inChannel = await pay(first, client, 'loopback-echo')
  const upto = createMeteredClient(network, await network.createPayer(), 'upto')
  const direct =
    (await pay(first, upto, 'loopback-echo')) +
    (await pay(first, createStockClient(network.chain.nextPayer()), 'flat'))
  await expect.poll(() => network.balanceOf(payee), soon).toBe(direct)
  await expect.poll(() => claimedFor(payee), soon).toBe(inChannel)
  // Nothing is collected that nobody has configured.
  expect(sent).toEqual({ settle: new Set(), forward: new Set() })
  expect(await ask(first, '/readyz')).not.toContain('collecting')
  await first.kill()

  const collect = { minAtomic: '1', minIntervalMinutes: 0 }
  // Signed and journaled; no node has seen it.
  await place.killAt(place.start({ collect }), 'settle', 'drop')
  expect(await claimedFor(payee)).toBe(inChannel)
  // The node has it, and nobody was told.
  await place.killAt(place.start({ collect }), 'forward', 'forward-then-drop')

  const last = await place.start({ collect, workers: 2 })
  await expect.poll(() => network.balanceOf(terms.payeeOwner), soon).toBe(inChannel + direct)
  await expect
    .poll(async () => JSON.parse(await ask(last, '/readyz')), soon)
    .toMatchObject({ status: 'ready', collecting: 'waiting' })
  // The same bytes before and after each kill, and no others.
  expect([sent.settle.size, sent.forward.size]).toEqual([1, 1])
  expect(await forwarded(payee)).toEqual([inChannel + direct])
  expect([await network.balanceOf(payee), await claimedFor(payee)]).toEqual([0n, 0n])
  const metrics = await ask(last, '/metrics')
  expect(metrics).toContain('countersign_collect_steps_total{step="forward",result="done"} 1\n')
  expect(metrics).toContain('countersign_collecting{state="waiting"} 1\n')
  expect(metrics).toContain('countersign_uncollected_atomic{place="payee"} 0\n')
  expect(metrics).toContain('countersign_collect_gas_today 300000\n')
  expect(last.stderr()).toContain('"msg":"collected"')
}, 240_000)

test('beside exact alone a payee is emptied too, and a kill neither doubles nor forgets', async () => {
  const place = await openPlace({ exact: true, upto: null, batch: null })
  const { operator, sent } = place
  const { payee, terms } = operator
  const collect = { minAtomic: '1000', minIntervalMinutes: 0 }
  const flatOnly = { models: [] }
  const first = await place.start({ collect }, flatOnly)
  const stock = createStockClient(network.chain.nextPayer())
  expect(await pay(first, stock, 'flat')).toBe(700n)
  await expect.poll(() => network.balanceOf(payee), soon).toBe(700n)
  // 700 is less than enough; the second payment makes it 1,400.
  await place.killAt(first, 'forward', 'drop', () => pay(first, stock, 'flat'))
  expect(await network.balanceOf(payee)).toBe(1400n)
  const second = await place.start({ collect }, flatOnly)
  await expect.poll(() => network.balanceOf(terms.payeeOwner), soon).toBe(1400n)
  // The sender of both goes on with the next nonce.
  expect(await pay(second, stock, 'flat')).toBe(700n)
  await expect.poll(() => network.balanceOf(payee), soon).toBe(700n)
  expect([sent.settle.size, sent.forward.size]).toEqual([0, 1])
  expect(await forwarded(payee)).toEqual([1400n])
  await expect
    .poll(async () => JSON.parse(await ask(second, '/readyz')), soon)
    .toMatchObject({ collecting: 'waiting' })
}, 120_000)
