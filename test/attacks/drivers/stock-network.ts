/** The stock server of `@x402/hono` 2.27 as a target: the same chain, the same provider, the same attacks. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import type { Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import {
  startTestChain,
  type TestChain,
} from '../../../packages/gateway/test/payment/chain-process.ts'
import { startPlainLoopbackProvider } from '../../provider/start.ts'
import { createFundedKey, deployMoodyToken, type MoodyToken } from './accounts.ts'
import { startForkableChain } from './bare-history.ts'
import type { Driver, History, SpecialRequests } from './driver.ts'
import { chat, cpuSecondsOf, priceOf, sheet, type AttackedNetwork } from './own-network.ts'
import { startRewritingRpc } from './rewriting-rpc.ts'
import { stockCommand, type StockOptions, type StockRoute } from './stock-options.ts'

const prompt = 'one two three four five six seven eight'

function requestsFor(scheme: string): SpecialRequests {
  return {
    otherRoute: {
      path: '/v1/responses',
      body: JSON.stringify({ model: 'loopback-echo', input: 'hello' }),
      headers: { 'content-type': 'application/json' },
    },
    otherPrice: { ...chat('loopback-echo', false), path: '/dear/v1/chat/completions' },
    slowStream: chat('loopback-slow-300', true, prompt),
    slowAnswer: chat('loopback-slow-300', false, prompt),
    cutStream: chat('hostile-eof-mid', true, prompt),
    upstreamError: chat('hostile-status-500', false),
    upstreamReset: chat('hostile-reset', false),
    injectedHeaders: chat('hostile-header-injection', false),
    plainTwin: chat('loopback-echo', false),
    refund: { path: '/v1/refund', body: '' },
    ...(scheme === 'exact'
      ? {}
      : {
          lyingUsage: chat('hostile-usage', false),
          flood: chat('hostile-many-events-3000', true),
        }),
    // A cut stream counts nothing: the handler charges 0.
    ...(scheme === 'exact' ? {} : { freeOfCharge: chat('hostile-eof-mid', true, prompt) }),
  }
}

/** Starts everything. */
export function startStockNetwork(scheme: string): Promise<AttackedNetwork> {
  return startNetwork(scheme, startTestChain, noToken)
}

async function startForkableNetwork(
  scheme: string,
): Promise<AttackedNetwork & { readonly history: History }> {
  const { chain, history } = await startForkableChain()
  return { ...(await startNetwork(scheme, () => Promise.resolve(chain), noToken)), history }
}

async function startMoodyNetwork(
  scheme: string,
): Promise<AttackedNetwork & { readonly token: MoodyToken }> {
  let token: MoodyToken | undefined
  const network = await startNetwork(scheme, startTestChain, async (chain) => {
    token = await deployMoodyToken(chain)
    return token
  })
  if (token === undefined) throw new Error('no token')
  return { ...network, token }
}

type Deploy = (chain: TestChain) => Promise<MoodyToken | undefined>
const noToken: Deploy = () => Promise.resolve(undefined)

async function startNetwork(
  scheme: string,
  startChain: () => Promise<TestChain>,
  deploy: Deploy,
): Promise<AttackedNetwork> {
  const chain = await startChain()
  const token = await deploy(chain)
  const [provider, rpc] = await Promise.all([
    startPlainLoopbackProvider(),
    startRewritingRpc(chain.rpcUrl),
  ])
  const authorizerKey = chain.nextSettlementKey()
  const start = (port: number, facilitatorKey: Hex): ReturnType<typeof startServer> =>
    startServer({
      port,
      rpcUrl: rpc.url,
      asset: (token ?? baseSepoliaUsdc).address,
      payTo: privateKeyToAddress(authorizerKey),
      facilitatorKey,
      authorizerKey,
      nonces: 'asked',
      routes: routesOf(scheme, provider.url),
      prices: { inputPerMillionAtomic: sheet.input, outputPerMillionAtomic: sheet.output },
      // Charges are claimed as they come, as our own network does.
      ...(scheme === 'batch-settlement' ? { claimEverySeconds: 2 } : {}),
    })
  const firstKey = chain.nextSettlementKey()
  // Owned here: the process that runs now, and a second one once it was asked for.
  let server = await start(0, firstKey)
  let second: Awaited<ReturnType<typeof startServer>> | undefined
  const { url } = server
  const driver: Driver = {
    requests: requestsFor(scheme),
    executions: async () => (await provider.log()).at(-1)?.sequence ?? 0,
    untilIdle: async () => {
      await provider.log({ waitUntilIdleMs: 60_000 })
    },
    restart: async () => {
      await end(server.child)
      server = await start(Number(new URL(url).port), firstKey)
    },
    secondUrl: async () => {
      second ??= await start(0, chain.nextSettlementKey())
      return second.url
    },
    reorganising: () => startForkableNetwork(scheme),
    withMoodyToken: () => startMoodyNetwork(scheme),
    createPayerKey: (balance) => createFundedKey(chain, balance, token),
    get rpcRule() {
      return rpc.rule
    },
    set rpcRule(rule) {
      rpc.rule = rule
    },
    broadcasts: () => rpc.broadcasts,
    untilMined: (hash) => chain.mined(hash),
    priceOf: (answer) => (scheme === 'exact' ? 300n : priceOf(answer)),
    cpuSeconds: () => cpuSecondsOf(server.child.pid ?? 0),
    stop: async () => {
      rpc.rule = undefined
      await end(server.child)
      if (second !== undefined) await end(second.child)
      await rpc.stop()
      await provider.stop()
      await chain.stop()
    },
  }
  return { url, rpcUrl: chain.rpcUrl, request: chat('loopback-echo', false), driver }
}

/** Metered routes cost at most 4000, others 300; a dearer one stands for another price. */
function routesOf(scheme: string, providerUrl: string): readonly StockRoute[] {
  const isMetered = scheme !== 'exact'
  const usual = { scheme, amountAtomic: isMetered ? '4000' : '300' }
  const dear = { scheme, amountAtomic: isMetered ? '5000' : '400' }
  const chatUrl = `${providerUrl}/chat/completions`
  return [
    { method: 'POST', path: '/v1/chat/completions', offer: usual, upstream: chatUrl },
    { method: 'POST', path: '/v1/responses', offer: usual, upstream: `${providerUrl}/responses` },
    { method: 'POST', path: '/dear/v1/chat/completions', offer: dear, upstream: chatUrl },
    { method: 'GET', path: '/v1/refund', offer: usual, upstream: 'none' },
  ]
}

async function startServer(
  options: StockOptions,
): Promise<{ readonly url: string; readonly child: ChildProcess }> {
  const child = spawn(process.execPath, stockCommand(options), { stdio: ['pipe', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-10_000)
  })
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([text]) => String(text)),
    once(child, 'exit').then(() => {
      throw new Error(`the stock server ended before it was ready: ${errors}`)
    }),
  ])
  return { url: String(Object(JSON.parse(line)).url), child }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
