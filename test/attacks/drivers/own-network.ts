/** Our own gateway as a target: a chain, the operator's contracts, a provider that counts, a gateway that can be killed. */
import type { PaidRequest } from '../wire.ts'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { readFileSync, rmSync } from 'node:fs'
import { runChaos } from '../../../packages/gateway/test/chaos/chaos.ts'
import {
  createMeteredNetwork,
  startMeteredNetwork,
  type MeteredNetwork,
  type MeteredOperator,
} from '../../../packages/gateway/test/payment/metered-network.ts'
import { fetchReceipt, judge, receiptOf } from '../../../packages/gateway/test/support/receipts.ts'
import {
  createGatewayFolder,
  startGateway,
  type RunningGateway,
} from '../../../packages/gateway/test/support/start-gateway.ts'
import { startPlainLoopbackProvider, type LoopbackProvider } from '../../provider/start.ts'
import type { RawResult } from '../../provider/raw-client.ts'
import type { TestChain } from '../../../packages/gateway/test/payment/chain-process.ts'
import { createFundedKey, deployMoodyToken, type MoodyToken } from './accounts.ts'
import { startForkableChain } from './bare-history.ts'
import { createDeath, type Death } from './death.ts'
import type { Driver, History, NarrowTerms, SpecialRequests } from './driver.ts'
import { createMovedClock, gatewayWithClock, type MovedClock } from './move-clock.ts'
import { startRewritingRpc, type RewritingRpc } from './rewriting-rpc.ts'

/** A target with its driver. */
export type AttackedNetwork = {
  readonly url: string
  readonly rpcUrl: string
  readonly request: PaidRequest
  readonly driver: Driver
}

/** Input tokens cost 1.5 atomic units and a bit, output tokens 2. */
export const sheet = { input: '1500001', output: '2000000' }
const perMillion = 1_000_000n

const fixed = ['flat', 'hostile-header-injection', 'hostile-status-500', 'hostile-reset']
/** Metered, but for `exact`, which is offered for fixed prices only. */
const metered = [
  'loopback-echo',
  'hostile-usage',
  'hostile-eof-mid',
  'loopback-slow-300',
  'hostile-many-events-3000',
]

/** A chat call of a model. */
export function chat(model: string, stream: boolean, prompt = 'hello'): PaidRequest {
  const body = JSON.stringify({
    model,
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
    messages: [{ role: 'user', content: prompt }],
  })
  return { path: '/v1/chat/completions', body, headers: { 'content-type': 'application/json' } }
}

const prompt = 'one two three four five six seven eight'

/** The calls of `exact` have fixed prices, the others are metered. */
function requestsFor(scheme: string): SpecialRequests {
  const isExact = scheme === 'exact'
  return {
    otherRoute: {
      path: '/v1/responses',
      body: JSON.stringify({ model: 'flat', input: 'hello' }),
      headers: { 'content-type': 'application/json' },
    },
    otherPrice: chat('dear', false),
    slowStream: chat('loopback-slow-300', true, prompt),
    slowAnswer: chat('loopback-slow-300', false, prompt),
    cutStream: chat('hostile-eof-mid', true, prompt),
    upstreamError: chat('hostile-status-500', false),
    upstreamReset: chat('hostile-reset', false),
    injectedHeaders: chat('hostile-header-injection', false),
    refund: { path: '/v1/payments/refund', body: '' },
    plainTwin: chat('flat', false),
    ...(isExact
      ? {}
      : {
          lyingUsage: chat('hostile-usage', false),
          flood: chat('hostile-many-events-3000', true),
        }),
    ...(scheme === 'upto' ? { freeOfCharge: chat('hostile-eof-mid', true, prompt) } : {}),
  }
}

/**
 * The same network for another scheme. Of a network for metered schemes, what costs a fixed price can be paid by `exact`:
 * special requests of other models are then left out.
 */
export function forScheme(network: AttackedNetwork, scheme: string): AttackedNetwork {
  const all = requestsFor(scheme)
  const { otherRoute, otherPrice, injectedHeaders, plainTwin, upstreamError, upstreamReset } = all
  const fixedOnly = {
    otherRoute,
    otherPrice,
    injectedHeaders,
    plainTwin,
    upstreamError,
    upstreamReset,
  }
  const requests = scheme === 'exact' ? fixedOnly : all
  const driver: Driver = Object.create(network.driver, {
    requests: { value: requests },
    fresh: { value: (terms?: NarrowTerms) => startOwnNetwork(scheme, terms) },
    reorganising: { value: () => startForkableNetwork(scheme) },
    withMoodyToken: { value: () => startMoodyNetwork(scheme) },
  })
  return { ...network, request: requestFor(scheme), driver }
}

function requestFor(scheme: string): PaidRequest {
  return chat(scheme === 'exact' ? 'flat' : 'loopback-echo', false)
}

type Parts = {
  readonly scheme: string
  readonly network: MeteredNetwork
  readonly operator: MeteredOperator
  readonly provider: LoopbackProvider
  readonly rpc: RewritingRpc
  /** A second node, which tells the truth. */
  readonly honest: RewritingRpc | undefined
  readonly clock: MovedClock
  readonly death: Death
  readonly token: MoodyToken | undefined
  readonly narrow: NarrowTerms
}

/** Starts everything. */
export function startOwnNetwork(
  scheme: string,
  narrow: NarrowTerms = {},
): Promise<AttackedNetwork> {
  return startNetwork(scheme, { deploy: noToken, narrow })
}

async function startForkableNetwork(
  scheme: string,
): Promise<AttackedNetwork & { readonly history: History }> {
  const { chain, history } = await startForkableChain()
  return { ...(await startNetwork(scheme, { deploy: noToken, narrow: {}, chain })), history }
}

async function startMoodyNetwork(
  scheme: string,
): Promise<AttackedNetwork & { readonly token: MoodyToken }> {
  let token: MoodyToken | undefined
  const deploy: Deploy = async (chain) => {
    token = await deployMoodyToken(chain)
    return token
  }
  const network = await startNetwork(scheme, { deploy, narrow: {} })
  if (token === undefined) throw new Error('no token')
  return { ...network, token }
}

type Deploy = (chain: TestChain) => Promise<MoodyToken | undefined>
const noToken: Deploy = () => Promise.resolve(undefined)

/** What is not as usual. */
type Setup = {
  readonly deploy: Deploy
  readonly narrow: NarrowTerms
  /** Instead of the embedded one. */
  readonly chain?: TestChain
}

async function startParts(scheme: string, { deploy, narrow, chain }: Setup): Promise<Parts> {
  const clock = createMovedClock()
  const network =
    chain === undefined ? await startMeteredNetwork(undefined, clock) : createMeteredNetwork(chain)
  const token = await deploy(network.chain)
  const death = createDeath()
  const [provider, operator, rpc, honest] = await Promise.all([
    startPlainLoopbackProvider({ models: ['flat', 'dear'] }),
    network.createOperator(),
    startRewritingRpc(network.chain.rpcUrl),
    narrow.asksTwoNodes === true ? startRewritingRpc(network.chain.rpcUrl) : undefined,
  ])
  return { scheme, network, operator, provider, rpc, honest, clock, death, token, narrow }
}

async function startNetwork(scheme: string, setup: Setup): Promise<AttackedNetwork> {
  // Owned here: the key of the operator that the gateway uses now.
  let parts = await startParts(scheme, setup)
  const { network, operator, provider, rpc, clock, death, token } = parts
  const folder = createGatewayFolder()
  // Owned here: the process that runs now, and a second gateway once it was asked for.
  let gateway = await startTarget(parts, folder, 0)
  let second: RunningGateway | undefined
  const secondFolder = createGatewayFolder()
  const { url } = gateway
  const port = Number(new URL(url).port)
  const driver: Driver = {
    requests: requestsFor(scheme),
    ...workOf(provider),
    restart: async () => {
      await gateway.kill()
      gateway = await startTarget(parts, folder, port)
    },
    armDeath: (point) => {
      death.arm(point)
    },
    disarmDeath: async (withinMs) => {
      const point = await death.disarm(withinMs)
      if (point === undefined) return undefined
      await gateway.kill()
      gateway = await startTarget(parts, folder, port)
      return point
    },
    secondUrl: async () => {
      second ??= await startSecond(parts, secondFolder)
      return second.url
    },
    moveClock: (seconds, whose) => {
      const pids = { server: gateway.pid, chain: network.chain.pid }
      return clock.move(seconds, whose === undefined ? Object.values(pids) : [pids[whose]])
    },
    rotateKey: async () => {
      await gateway.kill()
      const settlementKey = await operator.attestKey()
      parts = { ...parts, operator: { ...operator, settlementKey } }
      gateway = await startTarget(parts, folder, port)
    },
    payeeBalance: () => (token ?? network).balanceOf(operator.payee),
    fresh: (terms) => startOwnNetwork(scheme, terms),
    reorganising: () => startForkableNetwork(scheme),
    withMoodyToken: () => startMoodyNetwork(scheme),
    createPayerKey: (balance) => createFundedKey(network.chain, balance, token),
    get rpcRule() {
      return rpc.rule
    },
    set rpcRule(rule) {
      rpc.rule = rule
    },
    broadcasts: () => rpc.broadcasts,
    untilMined: (hash) => network.chain.mined(hash),
    ...readsOf(url, scheme),
    cpuSeconds: () => cpuSecondsOf(gateway.pid),
    chaos: () => runShortChaos(parts),
    stop: async () => {
      rpc.rule = undefined
      await gateway.stop()
      await second?.stop()
      await stopParts(parts)
      for (const each of [folder, secondFolder]) rmSync(each, { recursive: true, force: true })
    },
  }
  return { url, rpcUrl: network.chain.rpcUrl, request: requestFor(scheme), driver }
}

async function stopParts({ rpc, honest, provider, network, clock, death }: Parts): Promise<void> {
  await rpc.stop()
  await honest?.stop()
  await provider.stop()
  await network.chain.stop()
  clock.stop()
  death.stop()
}

/** What the provider was asked. */
function workOf(provider: LoopbackProvider): Pick<Driver, 'executions' | 'untilIdle'> {
  return {
    executions: async () => (await provider.log()).at(-1)?.sequence ?? 0,
    untilIdle: async () => {
      await provider.log({ waitUntilIdleMs: 60_000 })
    },
  }
}

/** What receipts say. */
function readsOf(
  url: string,
  scheme: string,
): Pick<Driver, 'chargeOf' | 'receiptFits' | 'priceOf'> {
  return {
    chargeOf: async (answer) => {
      const { id, token } = receiptOf(answer.headers)
      return (await fetchReceipt(url, id, token, 60)).payload.charge.amountAtomic
    },
    receiptFits: (answer, request, response) => receiptFits(url, answer, request, response),
    priceOf: (answer) => (scheme === 'exact' ? 300n : priceOf(answer)),
  }
}

// A gateway of the same operator has contracts of its own: payTo differs (spec/payment.md PA5.4).
async function startSecond(parts: Parts, folder: string): Promise<RunningGateway> {
  const operator = await parts.network.createOperator()
  return startTarget({ ...parts, operator }, folder, 0)
}

function startTarget(parts: Parts, folder: string, port: number): Promise<RunningGateway> {
  const { operator, provider, rpc, honest, scheme, clock, death, token, narrow } = parts
  const isExact = scheme === 'exact'
  const { maxExposureAtomic, callsPerMinute } = narrow
  const exposure = maxExposureAtomic === undefined ? {} : { maxExposureAtomic }
  const onChain = {
    network: 'eip155:84532',
    asset: (token ?? baseSepoliaUsdc).address,
    assetName: 'USDC',
    assetVersion: '2',
    payTo: operator.payee,
    rpcUrl: rpc.url,
  }
  const flat = isExact ? [...fixed, ...metered] : fixed
  const fixedPrices = flat.map((id) => ({ id, priceAtomic: '300' }))
  return startGateway({
    folder,
    program: gatewayWithClock,
    nodeFlags: ['--conditions=source'],
    environment: {
      COUNTERSIGN_SETTLEMENT_KEY: operator.settlementKey,
      ...clock.environment,
      ...death.environment,
    },
    config: {
      listen: { port },
      ...(callsPerMinute === undefined ? {} : { limits: { perPayer: { callsPerMinute } } }),
      upstreams: [
        {
          name: 'loopback',
          baseUrl: provider.url,
          models: [...fixedPrices, { id: 'dear', priceAtomic: '400' }],
        },
      ],
      models: (isExact ? [] : metered).map((name) => ({
        name,
        upstream: 'loopback',
        provider: 'openai',
        price: { perMillionAtomic: sheet },
        limits: { contextTokens: 4000, maxOutputTokens: 500 },
      })),
      payment: {
        ...(honest === undefined ? {} : { chain: { otherNodes: [honest.url] } }),
        exact: onChain,
        upto: { ...onChain, settler: operator.settler, ...exposure },
        batchSettlement: {
          ...onChain,
          receiverAuthorizer: operator.authorizer,
          withdrawDelaySeconds: 3600,
          minDepositAtomic: '10000',
          maxUnclaimedAtomic: '1',
        },
      },
    },
  })
}

async function receiptFits(
  url: string,
  answer: RawResult,
  request: string,
  response: Uint8Array,
): Promise<boolean> {
  const { id, token } = receiptOf(answer.headers)
  const receipt = await fetchReceipt(url, id, token, 60)
  const { checks } = await judge(receipt, { request: Buffer.from(request), response })
  return checks.every(({ status }) => status !== 'failed')
}

/** What an answer cost by the sheet, rounded up. */
export function priceOf({ body }: RawResult): bigint {
  const usage: unknown = JSON.parse(body.toString()).usage
  const { prompt_tokens: input, completion_tokens: output } = Object(usage)
  const atomic = BigInt(input) * BigInt(sheet.input) + BigInt(output) * BigInt(sheet.output)
  return (atomic + perMillion - 1n) / perMillion
}

/** User and system time of a process, from the kernel. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function runShortChaos({ network, provider }: Parts): Promise<string> {
  const folder = createGatewayFolder()
  try {
    const { kills, calls, chargedAtomic, claimedAtomic, receipts } = await runChaos({
      network,
      operator: await network.createOperator(),
      providerUrl: provider.url,
      folder,
      kills: 3,
      calls: 60,
      seed: 1,
      uptoPayers: 1,
      channelPayers: 2,
    })
    return `${calls} calls, ${kills} kills, ${receipts} receipts, charged ${chargedAtomic} = claimed ${claimedAtomic}`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
