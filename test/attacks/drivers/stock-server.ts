/**
 * The stock x402 server of `@x402/hono` 2.27 with the stock facilitator in the same process, as its documentation shows it:
 * `stock-server.ts OPTIONS-JSON`. The handler passes the call to an upstream and its answer on, headers included.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { x402Facilitator } from '@x402/core/facilitator'
import type { FacilitatorClient, RoutesConfig } from '@x402/core/server'
import { x402ResourceServer } from '@x402/core/server'
import type { Network } from '@x402/core/types'
import { toFacilitatorEvmSigner } from '@x402/evm'
import { BatchSettlementEvmScheme as BatchFacilitator } from '@x402/evm/batch-settlement/facilitator'
import { BatchSettlementEvmScheme as BatchServer } from '@x402/evm/batch-settlement/server'
import { ExactEvmScheme as ExactFacilitator } from '@x402/evm/exact/facilitator'
import { ExactEvmScheme as ExactServer } from '@x402/evm/exact/server'
import { UptoEvmScheme as UptoFacilitator } from '@x402/evm/upto/facilitator'
import { UptoEvmScheme as UptoServer } from '@x402/evm/upto/server'
import { paymentMiddleware, SETTLEMENT_OVERRIDES_HEADER } from '@x402/hono'
import { Hono, type Context } from 'hono'
import { createWalletClient, http, publicActions, type Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'

type Options = {
  readonly scheme: 'exact' | 'upto' | 'batch-settlement'
  readonly port: number
  readonly rpcUrl: string
  readonly providerUrl: string
  readonly asset: string
  readonly payTo: Hex
  readonly facilitatorKey: Hex
  readonly authorizerKey: Hex
}

const network: Network = 'eip155:84532'
const options: Options = JSON.parse(process.argv[2] ?? '')
const isMetered = options.scheme !== 'exact'

function createFacilitator(): x402Facilitator {
  const account = privateKeyToAccount(options.facilitatorKey)
  const transport = http(options.rpcUrl)
  const wallet = createWalletClient({ account, chain: baseSepolia, transport }).extend(
    publicActions,
  )
  const signer = toFacilitatorEvmSigner({
    address: account.address,
    getCode: (args) => wallet.getCode(args),
    readContract: (args) => wallet.readContract({ ...args, args: args.args ?? [] }),
    verifyTypedData: (args) => wallet.verifyTypedData(Object(args)),
    writeContract: (args) => wallet.writeContract(args),
    sendTransaction: (args) => wallet.sendTransaction(args),
    waitForTransactionReceipt: ({ hash }) =>
      wallet.waitForTransactionReceipt({ hash, pollingInterval: 100 }),
  })
  const authorizer = privateKeyToAccount(options.authorizerKey)
  return new x402Facilitator()
    .register(network, new ExactFacilitator(signer))
    .register(network, new UptoFacilitator(signer))
    .register(
      network,
      new BatchFacilitator(signer, {
        address: authorizer.address,
        signTypedData: (args) => authorizer.signTypedData(Object(args)),
      }),
    )
}

function price(amount: string) {
  return {
    scheme: options.scheme,
    network,
    payTo: options.payTo,
    price: { amount, asset: options.asset, extra: { name: 'USDC', version: '2' } },
    maxTimeoutSeconds: 600,
  }
}

const facilitator = createFacilitator()
const client: FacilitatorClient = {
  verify: (payload, requirements) => facilitator.verify(payload, requirements),
  settle: (payload, requirements) => facilitator.settle(payload, requirements),
  getSupported: () => Promise.resolve(Object(facilitator.getSupported())),
}
const batch = new BatchServer(options.payTo)
const server = new x402ResourceServer(client)
  .register(network, new ExactServer())
  .register(network, new UptoServer())
  .register(network, batch)
const routes: RoutesConfig = {
  'POST /v1/chat/completions': { accepts: price(isMetered ? '4000' : '300') },
  'POST /v1/responses': { accepts: price(isMetered ? '4000' : '300') },
  'POST /dear/v1/chat/completions': { accepts: price(isMetered ? '5000' : '400') },
  'GET /v1/refund': { accepts: price(isMetered ? '4000' : '300') },
}

/** Input tokens cost 1.5 and a bit, output tokens 2, rounded up: the price sheet of our own network. */
async function chargeHeader(answer: Response): Promise<[string, string][]> {
  // A server that meters sets the amount; what an upstream sent in its place is passed on like any other header.
  if (!isMetered || answer.headers.has(SETTLEMENT_OVERRIDES_HEADER)) return []
  const text = await answer.clone().text()
  const input = /"prompt_tokens":\s*(\d+)/.exec(text)?.[1] ?? '0'
  const output = /"completion_tokens":\s*(\d+)/.exec(text)?.[1] ?? '0'
  const atomic = BigInt(input) * 1_500_001n + BigInt(output) * 2_000_000n
  const amount = `${(atomic + 999_999n) / 1_000_000n}`
  return [[SETTLEMENT_OVERRIDES_HEADER, JSON.stringify({ amount })]]
}

const framing = /^(content-length|content-encoding|transfer-encoding|connection)$/
const app = new Hono()
app.use(paymentMiddleware(routes, server))
app.get('/v1/refund', (context) => context.text('refunded'))
for (const path of ['/v1/chat/completions', '/v1/responses', '/dear/v1/chat/completions']) {
  app.post(path, (context) => passOn(context))
}

async function passOn(context: Context): Promise<Response> {
  const path = context.req.path.replace(/^\/dear/, '').replace(/^\/v1/, '')
  const upstream = await fetch(`${options.providerUrl}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: await context.req.text(),
  })
  const headers = [...upstream.headers].filter(([name]) => !framing.test(name))
  const charge = await chargeHeader(upstream)
  return new Response(upstream.body, { status: upstream.status, headers: [...headers, ...charge] })
}

const listener = createServer((request, response) => {
  serve(request, response).catch(() => response.destroy())
})
listener.listen(options.port, '127.0.0.1', () => {
  const address = listener.address()
  const port = typeof address === 'object' ? address?.port : undefined
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}` })}\n`)
})
// Charges are claimed as they come, as our own network does.
if (options.scheme === 'batch-settlement') {
  const manager = batch.createChannelManager(client, network)
  manager.start({ claimIntervalSecs: 2 })
}
process.stdin.on('end', () => process.exit(0)).resume()

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const headers = Object.entries(request.headers).map(([name, value]): [string, string] => [
    name,
    String(value),
  ])
  const method = request.method ?? 'GET'
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const answer = await app.fetch(
    new Request(`http://${request.headers.host}${request.url}`, {
      method,
      headers,
      ...(hasBody ? { body: Buffer.concat(chunks) } : {}),
    }),
  )
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  if (answer.body === null) response.end()
  else Readable.fromWeb(Object(answer.body)).pipe(response)
}
