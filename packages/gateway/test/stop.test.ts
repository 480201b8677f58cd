import type { PaymentPayload } from '@x402/core/types'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { callRaw } from '../../../test/provider/raw-client.ts'
import { startPlainLoopbackProvider, type LoopbackProvider } from '../../../test/provider/start.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { post, quoteIn } from './payment/metered-network.ts'
import { createStockClient } from './payment/payer.ts'
import { createChatBody } from './support/chat-call.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

let chain: TestChain
let provider: LoopbackProvider

beforeAll(async () => {
  ;[chain, provider] = await Promise.all([startTestChain(), startPlainLoopbackProvider()])
})

afterAll(async () => {
  chain.resume()
  await Promise.all([chain.stop(), provider.stop()])
})

beforeEach(() => provider.reset())

async function start(
  limits: Readonly<Record<string, number>>,
  settlementKey: string,
  folder?: string,
): Promise<RunningGateway> {
  const exact = {
    network: 'eip155:84532',
    asset: baseSepoliaUsdc.address,
    assetName: 'USDC',
    assetVersion: '2',
    payTo: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC',
    rpcUrl: chain.rpcUrl,
  }
  const gateway = await startGateway({
    provider,
    limits,
    environment: { COUNTERSIGN_SETTLEMENT_KEY: settlementKey },
    config: { payment: { exact } },
    ...(folder === undefined ? {} : { folder }),
  })
  onTestFinished(async () => {
    chain.resume()
    await disposeGateway(gateway)
  })
  return gateway
}

async function pay(gateway: RunningGateway, body: string): Promise<PaymentPayload> {
  const quote = quoteIn(await post(gateway, body))
  return createStockClient(chain.nextPayer()).createPaymentPayload(quote)
}

/** Resolves when the gateway has this many calls under way, that of the question itself not among them. */
async function underWay({ url }: RunningGateway, calls: number): Promise<void> {
  for (;;) {
    const { body } = await callRaw({ url: `${url}/metrics` })
    if (body.toString().includes(`countersign_calls_pending ${calls}\n`)) return
  }
}

function chatBody(model: string): string {
  return Buffer.from(createChatBody({ model, stream: true })).toString()
}

test('a call whose payment is still looked at when the gateway stops does not go upstream', async () => {
  const gateway = await start({ drainTimeoutMs: 20 }, chain.nextSettlementKey())
  const body = chatBody('loopback-slow-60000')
  const payment = await pay(gateway, body)
  chain.pause()
  const answer = post(gateway, body, payment)
  await underWay(gateway, 1)
  gateway.terminate()
  await gateway.logged('calls under way are ended')
  chain.resume()
  expect(await gateway.ended).toEqual({ code: 0, signal: null })
  // Its payment is on its way to a block: the caller may be cut off before it can be told.
  expect([504, null]).toContain((await answer).status)
  expect(await provider.log()).toEqual([])
})

test('a stop has an end even when a call has none, and the next start takes up what was paid', async () => {
  const key = chain.nextSettlementKey()
  const gateway = await start({ drainTimeoutMs: 20, stopTimeoutMs: 50 }, key)
  const body = chatBody('loopback-echo')
  const payment = await pay(gateway, body)
  chain.pause()
  const answer = post(gateway, body, payment)
  await underWay(gateway, 1)
  expect(await gateway.stop()).toEqual({ code: 75, signal: null })
  expect(gateway.stderr()).toContain('gateway could not end its calls in time')
  expect((await answer).failure).not.toBeNull()
  chain.resume()
  const again = await start({}, key, gateway.folder)
  const served = await post(again, body, payment)
  expect(served).toMatchObject({ status: 200, failure: null })
  expect((await post(again, body, payment)).status).not.toBe(200)
})
