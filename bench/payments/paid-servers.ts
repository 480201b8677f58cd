/** The servers that are paid: this gateway, and the stock x402 server. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { privateKeyToAddress } from 'viem/accounts'
import {
  nodeCommand,
  startPinned,
  type Core,
  type PinnedProcess,
} from '../gateway/pinned-process.ts'
import { createApiKey } from '../gateway/targets.ts'
import { model } from '../gateway/wire.ts'
import { stockCommand, type StockRoute } from '../../test/attacks/drivers/stock-options.ts'
import type {
  MeteredNetwork,
  MeteredOperator,
} from '../../packages/gateway/test/payment/metered-network.ts'

/** Price of one token of input and of output, and of a call at a fixed price, in atomic units. */
export const prices = { input: 1, output: 2, flat: '700' } as const

/** The model at a fixed price. */
export const flatModel = 'bench-flat'

/** How long a payer waits who withdraws without the server; both servers say the same. */
const withdrawDelaySeconds = 3600

const thisTree = new URL('../../', import.meta.url)

/** A running server. */
export type PaidServer = PinnedProcess & { readonly port: number; readonly dataDir: string }

/** This gateway, with every way to pay or with none. */
export async function startPaidGateway(
  network: MeteredNetwork,
  operator: MeteredOperator | undefined,
  options: {
    readonly upstreamPort: number
    readonly folder: string
    readonly profileFolder: string | undefined
    readonly workers?: number
    readonly core?: Core
    /** The repository whose gateway it is, when it is not this one. */
    readonly tree?: URL
  },
): Promise<PaidServer & { readonly apiKey: string }> {
  const dataDir = join(options.folder, 'data')
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const config = {
    issuer: 'bench.invalid',
    listen: { host: '127.0.0.1', port: 0 },
    workers: options.workers ?? 1,
    dataDir: 'data',
    upstreams: [
      {
        name: 'mock',
        baseUrl: `http://127.0.0.1:${options.upstreamPort}/v1`,
        connections: 1024,
        models: [{ id: flatModel, priceAtomic: prices.flat }],
      },
    ],
    models: [
      {
        name: model,
        upstream: 'mock',
        provider: 'openai',
        price: {
          perMillionAtomic: {
            input: String(prices.input * 1_000_000),
            output: String(prices.output * 1_000_000),
          },
        },
        limits: { contextTokens: 4000, maxOutputTokens: 512 },
      },
    ],
    payment: operator === undefined ? 'none' : describePayment(network, operator),
    attestation: { kind: 'simulated' },
    log: { level: 'error' },
  }
  const configFile = join(options.folder, 'countersign.config.json')
  writeFileSync(configFile, JSON.stringify(config))
  const apiKey = operator === undefined ? '' : createApiKey(join(dataDir, 'api-keys.db'))
  const gatewayMain = new URL('packages/gateway/src/main.ts', options.tree ?? thisTree)
  const [node = '', ...command] = nodeCommand(gatewayMain, [
    '--config',
    configFile,
    '--exit-with-parent',
  ])
  const { profileFolder } = options
  const profiled =
    profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`]
  const child = await startPinned(
    options.core ?? 1,
    [node, ...profiled, ...command],
    operator === undefined ? {} : { COUNTERSIGN_SETTLEMENT_KEY: operator.settlementKey },
  )
  const port = Number(new URL(String(child.hello['url'])).port)
  return { ...child, port, dataDir, apiKey }
}

/** Paths of the stock server, by what they cost. */
export const stockRoutes = {
  none: '/free',
  'batch-settlement': '/batch',
  upto: '/upto',
  exact: '/exact',
} as const

/** The stock server and its facilitator in one process: the program that the attack suite attacks. */
export async function startStockServer(
  network: MeteredNetwork,
  options: { readonly upstreamPort: number; readonly meteredAtomic: string },
): Promise<PaidServer & { readonly payTo: `0x${string}` }> {
  const payTo = privateKeyToAddress(network.createChannelPayer())
  const { meteredAtomic } = options
  const upstream = `http://127.0.0.1:${options.upstreamPort}/v1/chat/completions`
  const route = (path: string, offer: StockRoute['offer']): StockRoute => ({
    method: 'POST',
    path,
    offer,
    upstream,
  })
  const { none, upto, exact, 'batch-settlement': batch } = stockRoutes
  const child = await startPinned(1, [
    process.execPath,
    ...stockCommand({
      port: 0,
      rpcUrl: network.chain.rpcUrl,
      asset: baseSepoliaUsdc.address,
      payTo,
      facilitatorKey: network.chain.nextSettlementKey(),
      authorizerKey: network.chain.nextSettlementKey(),
      withdrawDelaySeconds,
      nonces: 'in-turn',
      routes: [
        route(none, 'free'),
        route(batch, { scheme: 'batch-settlement', amountAtomic: meteredAtomic }),
        route(upto, { scheme: 'upto', amountAtomic: meteredAtomic }),
        route(exact, { scheme: 'exact', amountAtomic: prices.flat }),
      ],
      prices: {
        inputPerMillionAtomic: `${prices.input}000000`,
        outputPerMillionAtomic: `${prices.output}000000`,
      },
    }),
  ])
  return { ...child, port: Number(child.hello['port']), dataDir: '', payTo }
}

function describePayment(
  { chain }: MeteredNetwork,
  operator: MeteredOperator,
): Readonly<Record<string, unknown>> {
  const onChain = {
    network: 'eip155:84532',
    asset: baseSepoliaUsdc.address,
    assetName: 'USDC',
    assetVersion: '2',
    payTo: operator.payee,
    rpcUrl: chain.rpcUrl,
  }
  return {
    exact: onChain,
    upto: { ...onChain, settler: operator.settler },
    batchSettlement: {
      ...onChain,
      receiverAuthorizer: operator.authorizer,
      withdrawDelaySeconds,
      minDepositAtomic: '10000',
    },
    apiKeys: { asset: 'USD' },
  }
}
