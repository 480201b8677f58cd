/** The HTTP server: which path goes where. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import { sendWhole, errorHeaders } from '../call/deliver.ts'
import type { Gateway } from '../call/gateway.ts'
import { handleCall } from '../call/handle-call.ts'
import type { PresentState } from '../metrics.ts'
import { createAttestedServer, patience } from './attested-server.ts'
import { dialectOfModels, findModel, listModels } from './list-models.ts'
import { isModelPath, isNotarised, refusalOfPath } from './paths.ts'
import { createSealedCalls, sealedPath } from '../sealed/serve-sealed.ts'
import { serveOpenGradient } from '../profiles/serve-open-gradient.ts'
import { dialectOfPath } from './wire-routes.ts'
import { answerUnreadable } from './unreadable.ts'
import { refundPath, type RefundDesk } from '../payment/metered/refund-desk.ts'
import {
  isUpstreamResponsePath,
  serveUpstreamResponse,
} from '../receipts/serve-upstream-response.ts'
import { sendProblem, serveAttestation, serveReceipt } from '../receipts/serve-receipts.ts'

const origin = 'http://gateway.invalid'

/**
 * A server that is not listening yet; it ends TLS where the keyset has a key for it. Each request is handled by the
 * gateway that is current when it begins.
 */
export function createGatewayServer(
  current: () => Gateway,
  isReady: () => boolean,
): Server | TlsServer {
  const fail = (response: ServerResponse) => (error: unknown) => {
    current().log.error({ err: error }, 'a request failed')
    sendProblem(response, 'internal-error')
  }
  const open = (request: IncomingMessage, response: ServerResponse): void => {
    // handleCall never rejects; what the other routes throw ends here.
    route(current(), isReady, request, response).catch(fail(response))
  }
  // Keys for connections outlive a change of the configuration.
  const { sealed, tls } = current()
  const unseal = sealed === undefined ? undefined : createSealedCalls(current, sealed, open)
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const isSealed = request.url === sealedPath && request.method === 'POST'
    if (unseal === undefined || !isSealed) open(request, response)
    else unseal(request, response).catch(fail(response))
  }
  const server =
    tls === undefined ? createServer(patience, listener) : createAttestedServer(tls, listener)
  server.headersTimeout = 60_000
  server.on('clientError', answerUnreadable)
  server.on('checkExpectation', (_, response: ServerResponse) => {
    sendProblem(response, 'request-malformed', 'Expect takes 100-continue only.')
  })
  return server
}

async function route(
  gateway: Gateway,
  isReady: () => boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const target = request.url ?? ''
  const method = request.method ?? ''
  const query = target.indexOf('?')
  const path = query < 0 ? target : target.slice(0, query)
  if (isNotarised(method, path)) {
    await handleCall(gateway, request, response, path)
    return
  }
  request.resume()
  const url = URL.parse(target, origin)
  // A path has one way to be written: a proxy that keeps /metrics from callers may let //x/metrics and /x/../metrics pass.
  if (url?.pathname !== path) sendProblem(response, 'path-not-found')
  else if (method !== 'GET' && method !== 'HEAD') sendUnknown(response, path)
  else await routeGet(gateway, isReady, request, response, url)
}

async function routeGet(
  gateway: Gateway,
  isReady: () => boolean,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const { pathname } = url
  const { openGradient } = gateway
  if (openGradient !== undefined && (await serveOpenGradient(gateway, openGradient, response, url)))
    return
  const [path = ''] = (request.url ?? '').split('?')
  if (isUpstreamResponsePath(pathname)) serveUpstreamResponse(gateway, request, response, pathname)
  else if (pathname.startsWith('/v1/receipts/')) await serveReceipt(gateway, request, response, url)
  else if (pathname === '/v1/attestation') await serveAttestation(gateway, response, url)
  else if (pathname === refundPath && gateway.refunds !== undefined)
    await serveRefund(gateway.refunds, request, response)
  else if (isModelList(pathname)) sendJson(response, 200, listModels(gateway, request, pathname))
  else if (isModelPath(path)) sendModel(gateway, request, response, path)
  else if (pathname === '/metrics') await sendMetrics(gateway, response)
  else if (!sendDocument(gateway, isReady, response, pathname)) sendUnknown(response, pathname)
}

/** What is the same for everybody who asks; false for another path. */
function sendDocument(
  gateway: Gateway,
  isReady: () => boolean,
  response: ServerResponse,
  path: string,
): boolean {
  const { terms } = gateway
  if (path === '/healthz') sendJson(response, 200, { status: 'ok' })
  else if (path === '/readyz') sendReadiness(gateway, response, isReady())
  else if (path !== '/v1/terms') return false
  else if (terms === undefined) sendProblem(response, 'path-not-found', 'No operator is announced.')
  else sendWhole(response, 200, errorHeaders, Buffer.from(terms), undefined)
  return true
}

async function serveRefund(
  refunds: RefundDesk,
  { headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // Repeated headers of this name are joined by a comma, which base64 has not.
  const payment = headers['payment-signature']
  const answer = await refunds.answer(Array.isArray(payment) ? payment.join() : payment)
  if (answer.kind === 'refused') {
    const { code, detail, headers: more } = answer.refusal
    sendProblem(response, code, detail, more)
    return
  }
  const body = Buffer.from(JSON.stringify({ status: 'sent' }))
  sendWhole(response, 200, { ...errorHeaders, ...answer.headers }, body, undefined)
}

function sendUnknown(response: ServerResponse, path: string): void {
  const { code, detail, headers } = refusalOfPath(path)
  sendProblem(response, code, detail, headers, dialectOfPath(path))
}

function isModelList(path: string): boolean {
  return path === '/v1/models' || path === '/v1beta/models'
}

function sendModel(
  gateway: Gateway,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): void {
  const model = findModel(gateway, request, path)
  if (model !== undefined) sendJson(response, 200, model)
  else sendProblem(response, 'model-not-found', '', {}, dialectOfModels(request, path))
}

/** PA28.6: who can pay otherwise is served without a good charge key; collecting stops no call (PA31.6). */
function sendReadiness(
  { config: { payment }, isSelling, collecting }: Gateway,
  response: ServerResponse,
  isServing: boolean,
): void {
  const isMetered =
    payment !== 'none' && (payment.upto !== undefined || payment.batchSettlement !== undefined)
  const hasOther =
    payment === 'none' || payment.exact !== undefined || payment.apiKeys !== undefined
  const collectingNow = collecting()
  const isReady = isServing && (hasOther || isSelling())
  sendJson(response, isReady ? 200 : 503, {
    status: isReady ? 'ready' : 'not-ready',
    ...(isMetered ? { metered: isSelling() ? 'sold' : 'charge-key-untrusted' } : {}),
    ...(collectingNow === undefined ? {} : { collecting: collectingNow }),
  })
}

async function sendMetrics(gateway: Gateway, response: ServerResponse): Promise<void> {
  const { metrics, siblings } = gateway
  const text = await (siblings?.renderMetrics() ?? metrics.render(presentState(gateway)))
  const headers = { 'content-type': metrics.contentType }
  sendWhole(response, 200, headers, Buffer.from(text), undefined)
}

/** What a gateway holds at this moment. */
export function presentState(gateway: Gateway): PresentState {
  const { pending, requestMemory, receipts, upstreams } = gateway
  return {
    pendingCalls: pending.size,
    requestBytes: requestMemory.takenBytes,
    unwrittenReceipts: receipts.unwritten(),
    unsettled: gateway.unsettled(),
    upstreams: upstreams.load(),
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendWhole(response, status, errorHeaders, Buffer.from(JSON.stringify(value)), undefined)
}
