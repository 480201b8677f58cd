/** An HTTP server that speaks the gateway's wire with real receipts, so that the client is tested without the gateway. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Charge } from '@countersign/protocol/receipt/charge'
import { createTestIssuer } from './test-issuer.ts'

/** What one paid or unpaid attempt looked like. */
export type SeenCall = {
  readonly path: string
  readonly body: Buffer
  readonly headers: IncomingMessage['headers']
  /** Decoded PAYMENT-SIGNATURE. */
  readonly payment: PaymentSeen | undefined
}

/** The members of a payment that tests look at. */
export type PaymentSeen = {
  readonly accepted: { readonly amount: string; readonly network: string; readonly asset: string }
  readonly payload: {
    readonly signature: `0x${string}`
    readonly authorization: Readonly<
      Record<'from' | 'to' | 'value' | 'validBefore' | 'nonce', string>
    >
  }
  readonly extensions: {
    readonly 'countersign-request': {
      readonly info: Readonly<Record<'requestHash' | 'salt', string>>
    }
  }
}

/** How the server answers. All members can be changed between calls. */
export type WireBehaviour = {
  /** The offer of a 402, or null to serve without payment. */
  offer: Readonly<Record<string, unknown>> | null
  /** Called for each call that would be served; what it returns is answered instead. */
  intercept: ((seen: SeenCall) => Interception | undefined) | null
  /** Changes the charge in the receipt. */
  charge: (charge: Charge) => Charge
  /** The pieces of the answer; `stream` of the request chooses the content type. */
  chunks: readonly string[]
  /** Waits before each chunk after the first. */
  beforeChunk: () => Promise<void>
  /** Changes the bundle bytes on their way out. */
  bundle: (bytes: Uint8Array) => Uint8Array
}

/** An answer of a test. */
export type Interception = {
  readonly status: number
  readonly code?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Cut the connection instead. */
  readonly reset?: boolean
}

/** A running server. */
export type WireGateway = {
  /** Base URL that ends in /v1. */
  readonly url: string
  readonly behaviour: WireBehaviour
  readonly seen: readonly SeenCall[]
  close(): Promise<void>
}

/** The offer that the SDK's defaults allow. */
export const testOffer = {
  scheme: 'exact',
  network: 'eip155:84532',
  amount: '10000',
  asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
  payTo: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC',
  maxTimeoutSeconds: 120,
  extra: { name: 'USDC', version: '2' },
} as const

/** Pieces of a chat stream, cut in places that no event knows of. */
export const testStream: readonly string[] = [
  'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"test-model","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}\n\nda',
  'ta: {"id":"1","object":"chat.completion.chunk","created":1,"model":"test-model","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n',
  'data: [DONE]\n\n',
]

/** Starts a server on loopback. */
export async function startWireGateway(): Promise<WireGateway> {
  const behaviour: WireBehaviour = {
    offer: testOffer,
    intercept: null,
    charge: (charge) => charge,
    chunks: testStream,
    beforeChunk: () => Promise.resolve(),
    bundle: (bytes) => bytes,
  }
  const seen: SeenCall[] = []
  const bundles = new Map<string, Promise<Uint8Array>>()
  const server = createServer((request, response) => {
    handle(request, response, behaviour, seen, bundles).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })
  // Whoever stood still for a while finds its connection as it was.
  server.keepAliveTimeout = 120_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${portOf(server)}/v1`,
    behaviour,
    seen,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  behaviour: WireBehaviour,
  seen: SeenCall[],
  bundles: Map<string, Promise<Uint8Array>>,
): Promise<void> {
  const path = request.url ?? ''
  if (request.method === 'GET') {
    await serveReceipt(path, request, response, behaviour, bundles)
    return
  }
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const call = {
    path,
    body: Buffer.concat(chunks),
    headers: request.headers,
    payment: readPayment(request),
  }
  seen.push(call)
  const id = Uint8Array.from(randomBytes(16))
  response.setHeader('x-receipt-id', Buffer.from(id).toString('hex'))
  const token = randomBytes(32).toString('base64url')
  response.setHeader('x-receipt-token', token)
  const intercepted = behaviour.intercept?.(call)
  const refusal =
    intercepted ??
    (needsPayment(call, behaviour) ? { status: 402, code: 'payment-required' } : undefined)
  if (refusal !== undefined) {
    refuse(response, refusal, behaviour)
    return
  }
  const key = `${Buffer.from(id).toString('hex')} ${token}`
  const answered = answer(call, id, response, behaviour)
  bundles.set(key, answered)
  await answered
}

function needsPayment(call: SeenCall, { offer }: WireBehaviour): boolean {
  return offer !== null && call.payment?.accepted.amount !== offer['amount']
}

function refuse(response: ServerResponse, refusal: Interception, { offer }: WireBehaviour): void {
  if (refusal.reset === true) {
    response.socket?.resetAndDestroy()
    return
  }
  if (refusal.status === 402 && offer !== null) {
    const required = {
      x402Version: 2,
      error: 'Payment required',
      resource: { url: 'http://gateway.test/v1/chat/completions', description: '', mimeType: '' },
      accepts: [{ scheme: 'upto', network: 'x:y' }, offer],
      extensions: {
        'countersign-request': { info: { version: 1 } },
        'payment-identifier': { info: { required: false } },
      },
    }
    response.setHeader('payment-required', Buffer.from(JSON.stringify(required)).toString('base64'))
  }
  for (const [name, value] of Object.entries(refusal.headers ?? {})) response.setHeader(name, value)
  const body = {
    error: { message: 'refused', type: 'payment_error', param: null, code: refusal.code ?? 'x' },
  }
  response.writeHead(refusal.status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

async function answer(
  call: SeenCall,
  id: Uint8Array,
  response: ServerResponse,
  behaviour: WireBehaviour,
): Promise<Uint8Array> {
  const isStream = call.body.includes('"stream":true')
  response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' })
  const sent: Buffer[] = []
  for (const chunk of behaviour.chunks) {
    if (sent.length > 0) await behaviour.beforeChunk()
    if (response.destroyed) break
    const bytes = Buffer.from(chunk)
    sent.push(bytes)
    await new Promise((resolve) => response.write(bytes, resolve))
  }
  const left = response.destroyed
  response.end()
  const nonce = call.headers['x-receipt-nonce']
  return createTestIssuer(Date.now()).issue({
    id,
    ...(typeof nonce === 'string'
      ? { nonce: Uint8Array.from(Buffer.from(nonce, 'base64url')) }
      : {}),
    path: call.path,
    request: Uint8Array.from(call.body),
    response: Uint8Array.from(Buffer.concat(sent)),
    isStream,
    status: 200,
    state: left ? 'aborted-by-client' : 'complete',
    charge: behaviour.charge(chargeOf(call)),
    priceAtomic: 10_000n,
  })
}

function chargeOf({ payment }: SeenCall): Charge {
  if (payment === undefined) return { scheme: 'none', amountAtomic: 0n }
  return {
    scheme: 'exact',
    amountAtomic: BigInt(payment.accepted.amount),
    network: payment.accepted.network,
    asset: payment.accepted.asset,
    paymentId: Uint8Array.from(Buffer.from(payment.payload.authorization.nonce.slice(2), 'hex')),
    settlementTransaction: new Uint8Array(32).fill(7),
  }
}

async function serveReceipt(
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  behaviour: WireBehaviour,
  bundles: ReadonlyMap<string, Promise<Uint8Array>>,
): Promise<void> {
  const [, id] = /^\/v1\/receipts\/([0-9a-f]{32})\?wait=10$/.exec(path) ?? []
  const token = (request.headers.authorization ?? '').slice('Bearer '.length)
  const bundle = await bundles.get(`${id} ${token}`)
  if (bundle === undefined) {
    response.writeHead(404).end()
    return
  }
  response.writeHead(200, { 'content-type': 'application/json' }).end(behaviour.bundle(bundle))
}

function readPayment(request: IncomingMessage): PaymentSeen | undefined {
  const header = request.headers['payment-signature']
  if (typeof header !== 'string') return undefined
  // What the code under test sent; a wrong shape fails the test that reads it.
  return JSON.parse(Buffer.from(header, 'base64').toString('utf8'))
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  return address.port
}
