/**
 * The stock x402 server: `@x402/hono` with the schemes and the facilitator of `@x402/evm`, unmodified. Facilitator and
 * server share a process, which is the cheapest way to run them. Its argument is JSON: upstream, chain, payee, keys, prices.
 */
import { serve } from '@hono/node-server'
import { x402Facilitator } from '@x402/core/facilitator'
import { toFacilitatorEvmSigner } from '@x402/evm'
import { BatchSettlementEvmScheme as BatchFacilitator } from '@x402/evm/batch-settlement/facilitator'
import { BatchSettlementEvmScheme as BatchServer } from '@x402/evm/batch-settlement/server'
import { ExactEvmScheme as ExactFacilitator } from '@x402/evm/exact/facilitator'
import { ExactEvmScheme as ExactServer } from '@x402/evm/exact/server'
import { UptoEvmScheme as UptoFacilitator } from '@x402/evm/upto/facilitator'
import { UptoEvmScheme as UptoServer } from '@x402/evm/upto/server'
import { paymentMiddleware, setSettlementOverrides, x402ResourceServer } from '@x402/hono'
import { Hono } from 'hono'
import { createWalletClient, hashTypedData, http, publicActions } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'

const settings = JSON.parse(process.argv[2] ?? '')
const { upstream, rpcUrl, payTo, asset, settlementKey, authorizerKey, prices } = settings
const network = 'eip155:84532'
const runs = { free: 0, batch: 0, upto: 0, exact: 0 }

const resources = new x402ResourceServer(createFacilitator())
  .register(network, new ExactServer())
  .register(network, new UptoServer())
  .register(
    network,
    new BatchServer(payTo, {
      receiverAuthorizerSigner: privateKeyToAccount(authorizerKey),
      withdrawDelay: settings.withdrawDelaySeconds,
    }),
  )
const app = new Hono()
app.use(
  paymentMiddleware(
    {
      'POST /batch': offer('batch-settlement', prices.metered),
      'POST /upto': offer('upto', prices.metered),
      'POST /exact': offer('exact', prices.flat),
    },
    resources,
  ),
)
for (const route of Object.keys(runs)) app.post(`/${route}`, (context) => answer(context, route))
app.get('/runs', (context) => context.json(runs))
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
  process.stdout.write(`${JSON.stringify({ port })}\n`)
})
process.stdin.resume().on('end', () => process.exit(0))

function offer(scheme, amount) {
  const price = { amount, asset, extra: { name: 'USDC', version: '2' } }
  const accepts = { scheme, price, network, payTo, maxTimeoutSeconds: 600 }
  return { accepts, description: '', mimeType: 'application/json' }
}

/** Relays the call; what it cost is read from the usage in the answer. */
async function answer(context, route) {
  runs[route]++
  const response = await fetch(upstream, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: await context.req.text(),
  })
  const isMetered = route === 'batch' || route === 'upto'
  // The middleware holds a paid answer until it is settled: nothing is lost by reading it whole here.
  if (!isMetered) return new Response(response.body, { headers: headersOf(response) })
  const text = await response.text()
  const usage = JSON.parse(/"usage":(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})/.exec(text)?.[1] ?? '')
  const amount = usage.prompt_tokens * prices.input + usage.completion_tokens * prices.output
  setSettlementOverrides(context, { amount: String(amount) })
  return context.body(text, 200, headersOf(response))
}

function headersOf(response) {
  return { 'content-type': response.headers.get('content-type') ?? '' }
}

function createFacilitator() {
  const account = privateKeyToAccount(settlementKey)
  const wallet = createWalletClient({
    account,
    chain: baseSepolia,
    transport: http(rpcUrl),
  }).extend(publicActions)
  // One nonce after the other: without this, transactions sent at once would take each other's.
  let nonce
  let last = Promise.resolve()
  const inTurn = (send) => {
    const next = last.then(async () => {
      nonce ??= await wallet.getTransactionCount({ address: account.address })
      return send(nonce++)
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
    verifyTypedData: ({ domain, types, primaryType, message, address, signature }) =>
      wallet.verifyHash({
        address,
        hash: hashTypedData({ domain, types, primaryType, message }),
        signature,
      }),
    writeContract: (args) => inTurn((turn) => wallet.writeContract({ ...args, nonce: turn })),
    sendTransaction: (args) => inTurn((turn) => wallet.sendTransaction({ ...args, nonce: turn })),
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
    getSupported: () => Promise.resolve(facilitator.getSupported()),
  }
}
