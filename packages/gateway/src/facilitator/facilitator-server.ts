/** The HTTP server of a facilitator: who may ask, how much at a time, and how refusals look (spec/payment.md PA27.1). */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import { patience } from '../http/attested-server.ts'
import { readIdempotencyKey } from '../payment/idempotency-key.ts'
import type { Client } from './clients.ts'
import type { Facilitator } from './facilitator.ts'
import { FacilitatorRefusal } from './refusal.ts'
import { maxBodyBytes } from './request.ts'

type Operation = 'verify' | 'settle'

/** What a request is answered with. */
type Answer = {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
  readonly retryAfterSeconds?: number | undefined
}

const bodyTimeoutMs = 30_000

/** A server that is not listening yet. */
export function createFacilitatorServer(
  facilitator: Facilitator,
  isReady: () => boolean,
  log: Logger,
): Server {
  // Owned by `answerOperation`.
  const running = { count: 0 }
  const server = createServer(patience, (request, response) => {
    route(facilitator, isReady, running, request, response).catch((error: unknown) => {
      if (isGone(response)) return
      log.error({ err: error }, 'a request failed')
      send(response, { status: 500, body: { error: 'internal_error' } })
    })
  })
  server.headersTimeout = bodyTimeoutMs
  server.requestTimeout = bodyTimeoutMs
  return server
}

async function route(
  facilitator: Facilitator,
  isReady: () => boolean,
  running: { count: number },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path] = (request.url ?? '').split('?')
  if (path === '/verify' || path === '/settle') {
    if (request.method !== 'POST') return refuseMethod(request, response, 'POST')
    const operation = path === '/verify' ? 'verify' : 'settle'
    const answer = await answerOperation(facilitator, operation, running, request, response)
    return send(response, answer)
  }
  request.resume()
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return refuseMethod(request, response, 'GET')
  }
  if (path === '/supported') return send(response, { status: 200, body: facilitator.supported })
  if (path === '/healthz') return send(response, { status: 200, body: { status: 'ok' } })
  if (path === '/readyz') return sendReadiness(facilitator, isReady, response)
  if (path === '/metrics') return sendMetrics(facilitator, response)
  return send(response, { status: 404, body: { error: 'path_not_found' } })
}

async function answerOperation(
  facilitator: Facilitator,
  operation: Operation,
  running: { count: number },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Answer> {
  const { metrics, limits } = facilitator
  const place = new Uint8Array(1)
  running.count++
  try {
    const client = enter(facilitator, running.count, place, request)
    const answer = await answerClient(facilitator, operation, client, request, response)
    metrics.observe(operation, 'done')
    return answer
  } catch (error) {
    if (!(error instanceof FacilitatorRefusal)) throw error
    metrics.observe(operation, error.reason)
    return describeRefusal(operation, error)
  } finally {
    running.count--
    limits.leave(place)
    // What is left of a body that was refused.
    request.resume()
  }
}

/** Before a byte of the body is read. @throws FacilitatorRefusal */
function enter(
  { config, findClient, limits }: Facilitator,
  runningCount: number,
  place: Uint8Array,
  { headers, socket }: IncomingMessage,
): Client {
  const client = findClient(headers, socket.remoteAddress)
  if (client === undefined) {
    throw new FacilitatorRefusal('countersign_client_unknown', 'Another key is needed.', {
      status: 401,
    })
  }
  if (runningCount > config.limits.totalConcurrentRequests) {
    throw new FacilitatorRefusal('countersign_overloaded', 'Too many requests at a time.', {
      status: 503,
      retryAfterSeconds: 1,
    })
  }
  const limited = limits.enter(place, client.name, {
    callsPerMinute: client.requestsPerMinute,
    concurrentCalls: client.concurrentRequests,
  })
  if (limited === undefined) return client
  throw new FacilitatorRefusal('countersign_rate_limited', 'Too many requests of this client.', {
    status: 429,
    retryAfterSeconds: Number(limited.headers['retry-after'] ?? '1'),
  })
}

async function answerClient(
  facilitator: Facilitator,
  operation: Operation,
  client: Client,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Answer> {
  const body = await readBody(request)
  if (operation === 'verify') {
    const members = await facilitator.verify(body, client)
    return { status: 200, body: { isValid: true, ...members } }
  }
  const asker = {
    client,
    requestName: readRequestName(request),
    isGone: () => isGone(response),
  }
  const members = await facilitator.settle(body, asker)
  return { status: 200, body: { success: true, ...members } }
}

function readRequestName({ headers }: IncomingMessage): string | undefined {
  const name = readIdempotencyKey(headers)
  if (name.kind === 'malformed') throw badBody('Idempotency-Key takes 1 to 255 characters.')
  return name.kind === 'given' ? name.key : undefined
}

/** @throws FacilitatorRefusal when it is too large or its sender left. */
async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw badBody('The body is encoded.')
  }
  const chunks: Buffer[] = []
  let sizeBytes = 0
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length
      if (sizeBytes <= maxBodyBytes) chunks.push(chunk)
      else reject(badBody('The body is larger than 128 KiB.'))
    })
    request.once('end', () => {
      resolve(Buffer.concat(chunks))
    })
    request.once('close', () => {
      reject(badBody('The body is not complete.'))
    })
    request.once('error', (cause) => {
      reject(badBody('The body cannot be read.', cause))
    })
  })
}

function badBody(message: string, cause?: unknown): FacilitatorRefusal {
  return new FacilitatorRefusal('invalid_payload', message, { status: 400, cause })
}

/** In both forms of x402; a stock client reads either also with another status than 200. */
function describeRefusal(operation: Operation, refusal: FacilitatorRefusal): Answer {
  const { status, reason, message, transaction, network, retryAfterSeconds } = refusal
  const body =
    operation === 'verify'
      ? { isValid: false, invalidReason: reason, invalidMessage: message }
      : {
          success: false,
          errorReason: reason,
          errorMessage: message,
          transaction: transaction ?? '',
          network,
        }
  return { status, body, retryAfterSeconds }
}

async function sendReadiness(
  facilitator: Facilitator,
  isReady: () => boolean,
  response: ServerResponse,
): Promise<void> {
  const ready = isReady() && (await facilitator.isReachable())
  const body = { status: ready ? 'ready' : 'not-ready' }
  send(response, { status: ready ? 200 : 503, body })
}

async function sendMetrics(facilitator: Facilitator, response: ServerResponse): Promise<void> {
  const { metrics } = facilitator
  const text = await metrics.render(facilitator.present())
  response.writeHead(200, { 'content-type': metrics.contentType }).end(text)
}

function refuseMethod(request: IncomingMessage, response: ServerResponse, allow: string): void {
  request.resume()
  response.setHeader('allow', allow)
  send(response, { status: 405, body: { error: 'method_not_allowed' } })
}

function send(response: ServerResponse, { status, body, retryAfterSeconds }: Answer): void {
  if (isGone(response)) return
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': `${retryAfterSeconds}` }),
  })
  response.end(JSON.stringify(body))
}

function isGone(response: ServerResponse): boolean {
  return response.destroyed || response.writableEnded || response.socket?.destroyed !== false
}
