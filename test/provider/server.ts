/** The HTTP server of the loopback provider: routing, the API key, the request log, test hooks. */
import { createServer as createHttpServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import { behaviours, findBehaviour } from './behaviours.ts'
import { createExchange, ExchangeClosedError } from './exchange.ts'
import type { Exchange } from './exchange.ts'
import { invalidRequest, modelNotFound, unknownUrl, wrongApiKey } from './provider-error.ts'
import { createRequestLog } from './request-log.ts'
import type { RequestLog } from './request-log.ts'
import { answerStored } from './stored-responses.ts'
import { credentialHeaderOf, findWire } from './wires/find-wire.ts'

/** TLS as the server presents it. `maxVersion` 1.2 makes a server that speaks only TLS 1.2. */
export type ServerTls =
  | { readonly kind: 'plain' }
  | {
      readonly kind: 'tls'
      readonly certificatePem: string
      readonly privateKeyPem: string
      readonly maxVersion: 'TLSv1.2' | 'TLSv1.3'
    }

/** What the loopback provider is told at start. */
export interface LoopbackServerOptions {
  readonly tls: ServerTls
  /** When not null, every /v1 request needs `Authorization: Bearer <apiKey>`. */
  readonly apiKey: string | null
  readonly recordingsDir: string | null
  readonly delayMs: number
  /** Further model names that answer like loopback-echo. */
  readonly models: readonly string[]
}

const maxBodyBytes = 64 * 1024 * 1024
const maxIdleWaitMs = 60_000

/** Makes the server, not yet listening. `clock` gives ms since 1970. */
export function createLoopbackServer(
  options: LoopbackServerOptions,
  parts: { readonly clock: () => number; readonly report: (error: unknown) => void },
): Server {
  const log = createRequestLog(parts.clock)
  const transports = createTransportTable()
  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    handleRequest(request, response).catch((error: unknown) => {
      if (error instanceof ExchangeClosedError) return
      parts.report(error)
      response.destroy()
    })
  }

  async function handleRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if ((request.url ?? '').startsWith('/__loopback/')) {
      await handleHook(log, request, response)
      return
    }
    const { transport, connection } = transports.find(request.socket)
    const record = log.open(request, connection)
    response.once('close', () => {
      log.close(record, response.writableFinished ? 'complete' : 'aborted-by-client')
    })
    const bodyOrNull = await readBody(request)
    const body = bodyOrNull ?? Buffer.alloc(0)
    log.setBody(record, body)
    const clock = parts.clock
    const exchange = createExchange({ request, response, body, record, log, transport, clock })
    if (bodyOrNull === null) {
      await exchange.refuse({ ...invalidRequest('The request body is too large.'), status: 413 })
      return
    }
    await route(exchange, options, parts.clock())
  }

  const server =
    options.tls.kind === 'plain'
      ? createHttpServer(onRequest)
      : createHttpsServer(
          {
            cert: options.tls.certificatePem,
            key: options.tls.privateKeyPem,
            minVersion: options.tls.maxVersion,
            maxVersion: options.tls.maxVersion,
            ALPNProtocols: ['http/1.1'],
          },
          onRequest,
        )
  server.on('connection', transports.add)
  server.keepAliveTimeout = 120_000
  return server
}

async function route(
  exchange: Exchange,
  options: LoopbackServerOptions,
  nowMs: number,
): Promise<void> {
  const { request, body } = exchange
  const method = request.method ?? ''
  const [path = '', query = ''] = (request.url ?? '').split('?')
  if (!(await acceptCredential(exchange, path, options.apiKey))) return
  if (method === 'GET' && path === '/v1/models') {
    await exchange.answer(200, { 'content-type': 'application/json' }, toModelList(options, nowMs))
    return
  }
  if (await answerStored(exchange, method, path)) return
  const wire = method === 'POST' ? findWire(path) : undefined
  if (wire === undefined) {
    await exchange.refuse(unknownUrl(method, path))
    return
  }
  const contentType = request.headers['content-type'] ?? ''
  const wireRequest = { path, query, contentType, body }
  const parsed = wire.parse(wireRequest)
  if (parsed.kind === 'refused') {
    await exchange.refuse(parsed.error)
    return
  }
  const { chat } = parsed
  const isAlias = options.models.includes(chat.model)
  const behaviour = findBehaviour(isAlias ? 'loopback-echo' : chat.model)
  if (behaviour === undefined) {
    await exchange.refuse(modelNotFound(chat.model))
    return
  }
  const { delayMs, recordingsDir } = options
  await behaviour.run(exchange, {
    chat,
    wire,
    wireRequest,
    argument: behaviour.argument,
    delayMs,
    nowMs,
    recordingsDir,
  })
}

/** False when the key is wrong and that was said. */
async function acceptCredential(
  exchange: Exchange,
  path: string,
  apiKey: string | null,
): Promise<boolean> {
  if (apiKey === null) return true
  const header = credentialHeaderOf(path)
  const credential = exchange.request.headers[header]
  const given = typeof credential === 'string' ? credential : undefined
  if (given === (header === 'authorization' ? `Bearer ${apiKey}` : apiKey)) return true
  await exchange.refuse(wrongApiKey(given))
  return false
}

function toModelList(options: LoopbackServerOptions, nowMs: number): Buffer {
  const created = Math.floor(nowMs / 1000)
  const data = [...behaviours.keys(), ...options.models].map((id) => ({
    id,
    object: 'model',
    created,
    owned_by: 'loopback',
  }))
  return Buffer.from(`${JSON.stringify({ object: 'list', data }, null, 2)}\n`)
}

/** GET /__loopback/log[?idle_ms=N&at_least=N] and POST /__loopback/reset; neither is logged. */
async function handleHook(
  log: RequestLog,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://loopback.invalid')
  request.resume()
  if (request.method === 'GET' && pathname === '/__loopback/log') {
    const idleMs = Number.parseInt(searchParams.get('idle_ms') ?? '0', 10)
    const atLeast = Number.parseInt(searchParams.get('at_least') ?? '0', 10)
    if (idleMs > 0) await log.waitUntilIdle(Math.min(idleMs, maxIdleWaitMs), atLeast)
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ requests: log.toJson() }))
    return
  }
  if (request.method === 'POST' && pathname === '/__loopback/reset') {
    log.reset()
    response.writeHead(204).end()
    return
  }
  response.writeHead(404).end()
}

/** The whole body, or null when it is over the limit (the rest is then read and dropped). */
async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  try {
    for await (const chunk of request) {
      const bytes = Buffer.from(chunk)
      sizeBytes += bytes.length
      if (sizeBytes <= maxBodyBytes) chunks.push(bytes)
    }
  } catch (cause) {
    throw new ExchangeClosedError({ cause })
  }
  return sizeBytes <= maxBodyBytes ? Buffer.concat(chunks) : null
}

interface TransportTable {
  readonly add: (transport: Socket) => void
  readonly find: (socket: Socket) => { readonly transport: Socket; readonly connection: number }
}

/**
 * Finds the TCP socket below a TLS socket: only it can send a TCP reset. The client's port names a
 * connection to one listening address.
 */
function createTransportTable(): TransportTable {
  // Owned here; an entry lives as long as its TCP connection.
  const byPort = new Map<number, { transport: Socket; connection: number }>()
  let nextConnection = 1
  return {
    add(transport) {
      const port = transport.remotePort ?? 0
      const entry = { transport, connection: nextConnection++ }
      byPort.set(port, entry)
      transport.once('close', () => {
        if (byPort.get(port) === entry) byPort.delete(port)
      })
    },
    find: (socket) => byPort.get(socket.remotePort ?? 0) ?? { transport: socket, connection: 0 },
  }
}
