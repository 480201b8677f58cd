/**
 * The JSON-RPC that wallets, explorers and our own processes see: reads from an allow-list, and signed transactions.
 * Nothing that signs, unlocks, impersonates or rewrites state gets through to anvil, and no web page gets in: a
 * browser can send neither this content type without a preflight, which is refused, nor a foreign Host.
 */

import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { answerRpc } from './rpc-answer.ts'
import type { RpcBackend } from './rpc-answer.ts'

/** A listening front. */
export type RpcFront = {
  readonly port: number
  /** Lets running requests finish for a moment, then closes every connection. */
  close(): Promise<void>
}

const MAX_BODY_BYTES = 2_000_000
const MAX_CONNECTIONS = 256
const REQUEST_TIMEOUT_MS = 30_000
const CLOSE_GRACE_MS = 2000

/** Listens on 127.0.0.1; port 0 takes a free one. Rejects when the port is taken. */
export async function startRpcFront(backend: RpcBackend, port: number): Promise<RpcFront> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: 10_000 })
  server.maxConnections = MAX_CONNECTIONS
  const listeningPort = await listen(server, port)
  const hosts = new Set([`127.0.0.1:${listeningPort}`, `localhost:${listeningPort}`])
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    handle(backend, hosts, request, response).catch(() => response.destroy())
  })
  return { port: listeningPort, close: () => closeServer(server) }
}

async function handle(
  backend: RpcBackend,
  hosts: ReadonlySet<string>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const refusal = refuseHeaders(hosts, request)
  if (refusal !== undefined) return refuse(response, refusal)
  const body = await readBody(request)
  if (body === undefined) return refuse(response, 413)
  respond(response, 200, JSON.stringify(await answerRpc(backend, body)))
}

/** Returns the HTTP status to refuse with, if any. */
function refuseHeaders(hosts: ReadonlySet<string>, request: IncomingMessage): number | undefined {
  const { headers, method } = request
  if (!hosts.has(headers.host ?? '')) return 403
  if (method !== 'POST') return 405
  const mediaType = (headers['content-type'] ?? '').split(';', 1)[0] ?? ''
  if (mediaType.trim().toLowerCase() !== 'application/json') return 415
  if (Number(headers['content-length'] ?? 0) > MAX_BODY_BYTES) return 413
  return undefined
}

/** The body, or undefined as soon as it is too long. */
function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let sizeBytes = 0
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length
      if (sizeBytes > MAX_BODY_BYTES) resolve(undefined)
      else chunks.push(chunk)
    })
    request.on('end', () => resolve(Buffer.concat(chunks)))
    request.on('error', reject)
  })
}

function refuse(response: ServerResponse, status: number): void {
  const reasons = new Map([
    [403, 'Host is not this server'],
    [405, 'only POST'],
    [413, `the body is over ${MAX_BODY_BYTES} bytes`],
    [415, 'the content type must be application/json'],
  ])
  // The rest of the request is not read, so the connection cannot be used again.
  response.shouldKeepAlive = false
  if (status === 405) response.setHeader('allow', 'POST')
  const message = reasons.get(status) ?? 'refused'
  const body = { jsonrpc: '2.0', id: null, error: { code: -32_600, message } }
  respond(response, status, JSON.stringify(body))
}

function respond(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  response.end(body)
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.removeListener('error', reject)
      const address = server.address()
      if (typeof address === 'object' && address !== null) resolve(address.port)
      else reject(new Error('the server has no port'))
    })
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    server.closeIdleConnections()
  })
}
