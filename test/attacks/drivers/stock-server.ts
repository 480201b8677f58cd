/**
 * The stock x402 server: `@x402/hono` 2.27 with the schemes and the facilitator of `@x402/evm`, unmodified, behind
 * `@hono/node-server`: `stock-server.ts OPTIONS-JSON`. The attacks and the benchmarks run this one program. Facilitator and
 * server share a process, which is the cheapest way to run them.
 */
import { serve } from '@hono/node-server'
import { x402Facilitator } from '@x402/core/facilitator'
import { x402ResourceServer, type FacilitatorClient, type RouteConfig } from '@x402/core/server'
import type { Network } from '@x402/core/types'
import { toFacilitatorEvmSigner } from '@x402/evm'
import { BatchSettlementEvmScheme as BatchFacilitator } from '@x402/evm/batch-settlement/facilitator'
import { BatchSettlementEvmScheme as BatchServer } from '@x402/evm/batch-settlement/server'
import { ExactEvmScheme as ExactFacilitator } from '@x402/evm/exact/facilitator'
import { ExactEvmScheme as ExactServer } from '@x402/evm/exact/server'
import { UptoEvmScheme as UptoFacilitator } from '@x402/evm/upto/facilitator'
import { UptoEvmScheme as UptoServer } from '@x402/evm/upto/server'
import { paymentMiddleware, setSettlementOverrides } from '@x402/hono'
import { Hono, type Context } from 'hono'
import { createWalletClient, http, publicActions } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import type { StockOptions, StockRoute } from './stock-options.ts'

const network: Network = 'eip155:84532'
const perMillion = 1_000_000n
const framing = /^(content-length|content-encoding|transfer-encoding|connection)$/
/** How often a handler ran. */
const runs: Record<string, number> = {}

const options: StockOptions = JSON.parse(process.argv[2] ?? '')
const client = createFacilitator()
const batch = new BatchServer(options.payTo, {
  receiverAuthorizerSigner: privateKeyToAccount(options.authorizerKey),
  ...(options.withdrawDelaySeconds === undefined
    ? {}
    : { withdrawDelay: options.withdrawDelaySeconds }),
})
const resources = new x402ResourceServer(client)
  .register(network, new ExactServer())
  .register(network, new UptoServer())
  .register(network, batch)
const app = new Hono()
app.use(paymentMiddleware(Object.fromEntries(options.routes.flatMap(offersOf)), resources))
for (const route of options.routes) {
  runs[route.path] = 0
  app.on(route.method, route.path, (context) => answer(context, route))
}
app.get('/runs', (context) => context.json(runs))
serve({ fetch: app.fetch, port: options.port, hostname: '127.0.0.1' }, ({ port }) => {
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}`, port })}\n`)
})
process.stdin.on('end', () => process.exit(0)).resume()
if (options.claimEverySeconds !== undefined) {
  const manager = batch.createChannelManager(client, network)
  manager.start({ claimIntervalSecs: options.claimEverySeconds })
}

function offersOf({ method, path, offer }: StockRoute): [string, RouteConfig][] {
  if (offer === 'free') return []
  const price = {
    amount: offer.amountAtomic,
    asset: options.asset,
    extra: { name: 'USDC', version: '2' },
  }
  const { scheme } = offer
  const accepts = { scheme, network, payTo: options.payTo, price, maxTimeoutSeconds: 600 }
  return [[`${method} ${path}`, { accepts, description: '', mimeType: 'application/json' }]]
}

/** Relays the call. For metered schemes it sets what the call cost by the usage in the answer, as the documentation shows. */
async function answer(context: Context, { path, upstream, offer }: StockRoute): Promise<Response> {
  runs[path] = (runs[path] ?? 0) + 1
  if (upstream === 'none') return context.text('done')
  const response = await fetch(upstream, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: await context.req.text(),
  })
  const headers = [...response.headers].filter(([name]) => !framing.test(name))
  const { status } = response
  if (offer === 'free' || offer.scheme === 'exact') {
    return new Response(response.body, { status, headers })
  }
  // The middleware holds a paid answer until it is settled: nothing is lost by reading it whole here.
  const text = await response.text()
  setSettlementOverrides(context, { amount: costOf(text) })
  return context.newResponse(text, new Response(null, { status, headers }))
}

/** By the price sheet, rounded up. */
function costOf(text: string): string {
  const input = /"prompt_tokens":\s*(\d+)/.exec(text)?.[1] ?? '0'
  const output = /"completion_tokens":\s*(\d+)/.exec(text)?.[1] ?? '0'
  const { prices } = options
  const atomic =
    BigInt(input) * BigInt(prices.inputPerMillionAtomic) +
    BigInt(output) * BigInt(prices.outputPerMillionAtomic)
  return `${(atomic + perMillion - 1n) / perMillion}`
}

function createFacilitator(): FacilitatorClient {
  const account = privateKeyToAccount(options.facilitatorKey)
  const transport = http(options.rpcUrl)
  const wallet = createWalletClient({ account, chain: baseSepolia, transport }).extend(
    publicActions,
  )
  // Owned by `inTurn`. A nonce after the other: those of transactions sent at once would be the same.
  let nonce: number | undefined
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(send: (turn: { readonly nonce?: number }) => Promise<T>): Promise<T> => {
    if (options.nonces === 'asked') return send({})
    const next = last.then(async () => {
      nonce ??= await wallet.getTransactionCount({ address: account.address })
      return send({ nonce: nonce++ })
    })
    last = next.catch(() => {
      nonce = undefined
    })
    return next
  }
  const signer = toFacilitatorEvmSigner({
    address: account.address,
    getCode: (args) => wallet.getCode(args),
    readContract: (args) => wallet.readContract({ ...args, args: args.args ?? [] }),
    verifyTypedData: (args) => wallet.verifyTypedData(Object(args)),
    writeContract: (args) => inTurn((turn) => wallet.writeContract({ ...args, ...turn })),
    sendTransaction: (args) => inTurn((turn) => wallet.sendTransaction({ ...args, ...turn })),
    waitForTransactionReceipt: ({ hash }) =>
      wallet.waitForTransactionReceipt({ hash, pollingInterval: 200 }),
  })
  const facilitator = new x402Facilitator()
    .register(network, new ExactFacilitator(signer))
    .register(network, new UptoFacilitator(signer))
    .register(network, new BatchFacilitator(signer))
  return {
    verify: (payload, requirements) => facilitator.verify(payload, requirements),
    settle: (payload, requirements) => facilitator.settle(payload, requirements),
    getSupported: () => Promise.resolve(Object(facilitator.getSupported())),
  }
}
