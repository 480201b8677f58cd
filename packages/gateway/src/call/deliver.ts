/** Writes answers to the caller: headers, body, and the statement where clients can bear it (spec/receipt.md RC6). */
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import { describeGatewayError, type GatewayErrorCode } from '../errors.ts'
import { selectResponseHeaders } from '../http/headers.ts'
import type { UpstreamHeaders } from '../upstream/call-upstream.ts'
import { endAnswer } from './end-answer.ts'
import type { RecordedAnswer } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import type { IssuedReceipt } from './issued-receipt.ts'
import type { Call } from './open-call.ts'

type Headers = Readonly<Record<string, string>>

const exposed =
  'x-receipt-id, x-receipt-token, x-receipt-statement, payment-required, payment-response, x-request-id'

const lingerMs = 10_000
const maxJoinedBytes = 16_384

/** Headers of our own JSON answers. */
export const errorHeaders: Headers = { 'content-type': 'application/json' }

/** What the caller gets of an upstream's headers. */
export function identityHeaders(headers: UpstreamHeaders): Headers {
  return selectResponseHeaders(headers)
}

/**
 * Writes the head of a stream, which leaves with its first bytes, or when it is flushed; the statement, and what a metered
 * call cost, follow as trailers.
 */
export function beginStream(
  gateway: Gateway,
  call: Call,
  headers: Headers,
  isMetered: boolean,
): void {
  const { request, response } = call
  const trailers = [
    ...(gateway.config.receipts.enabled ? ['x-receipt-statement'] : []),
    ...(isMetered ? ['payment-response'] : []),
  ]
  const head = toList(headers)
  head.push('cache-control', 'no-cache, no-transform, no-store', 'x-accel-buffering', 'no')
  head.push('access-control-expose-headers', exposed)
  if (gateway.config.receipts.enabled) {
    head.push('x-receipt-id', call.idHex, 'x-receipt-token', call.token())
  }
  if (trailers.length > 0 && takesTrailers(request)) head.push('trailer', trailers.join(', '))
  response.writeHead(200, head)
}

/** Finishes what the exchange left to do for the caller. `paid`: what it was charged, where that is metered. */
export function deliverAnswer(
  { request, response }: Call,
  answer: RecordedAnswer,
  receipt: IssuedReceipt | undefined,
  paid: Headers,
): void {
  switch (answer.kind) {
    case 'whole':
      sendWhole(response, answer.status, { ...answer.headers, ...paid }, answer.body, receipt)
      return
    case 'streamed':
      if (!answer.endsCleanly) {
        // The caller must see that the body is not complete; the statement is there by id.
        cut(request, response)
        return
      }
      if (takesTrailers(request)) {
        const statement = receipt && { 'x-receipt-statement': receipt.statement }
        response.addTrailers({ ...statement, ...paid })
      }
      endAnswer(response)
      return
    case 'gone':
      response.destroy()
  }
}

/** HTTP/1.0 has no chunks, hence no trailers: its callers fetch the statement by id. */
function takesTrailers({ httpVersion }: IncomingMessage): boolean {
  return httpVersion !== '1.0'
}

/**
 * Ends the connection without the end of the body, once what was written has left: the receipt says that it was
 * returned. A caller who reads no more has 10 s. Without chunks an orderly close would look like the end of the
 * body: only a reset says that it is not.
 */
function cut(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = response
  if (socket === null) {
    // Behind another answer on its connection: that one goes out first.
    response.destroy()
    return
  }
  socket.setTimeout(lingerMs, () => socket.destroy())
  socket.write('', () => {
    if (takesTrailers(request)) socket.destroy()
    else socket.resetAndDestroy()
  })
}

/** Sends a whole answer with its statement in a header. */
export function sendWhole(
  response: ServerResponse,
  status: number,
  headers: Headers,
  body: Buffer,
  receipt: IssuedReceipt | undefined,
): void {
  if (response.destroyed || response.headersSent) {
    response.destroy()
    return
  }
  response.writeHead(
    status,
    STATUS_CODES[status] ?? 'Unknown',
    toHead(headers, body.length, receipt),
  )
  endAfterRequest(response, body)
}

/** Names and values in one list: as an object they would be copied into a new one for each call. */
function toList(headers: Headers): (string | number)[] {
  const list: (string | number)[] = []
  for (const name in headers) list.push(name, headers[name] ?? '')
  return list
}

function toHead(
  headers: Headers,
  sizeBytes: number,
  receipt: IssuedReceipt | undefined,
): (string | number)[] {
  const head = toList(headers)
  head.push('content-length', sizeBytes, 'cache-control', 'no-store')
  head.push('access-control-expose-headers', exposed)
  if (receipt !== undefined) {
    head.push('x-receipt-id', receipt.idHex, 'x-receipt-token', receipt.token)
    head.push('x-receipt-statement', receipt.statement)
  }
  return head
}

/** A connection closed while its caller still sends is reset, and the answer is lost: the caller gets 10 s to finish. */
function endAfterRequest(response: ServerResponse, body: Buffer): void {
  const { req: request } = response
  if (request.complete) {
    endAnswer(response, body.length <= maxJoinedBytes ? body.toString('latin1') : body)
    return
  }
  response.write(body)
  const end = (): void => {
    clearTimeout(timer)
    endAnswer(response)
  }
  const timer = setTimeout(end, lingerMs)
  request.once('end', end).resume()
  response.once('close', () => {
    clearTimeout(timer)
  })
}

/** Headers of a refusal: no automatic retry unless one can help. */
export function refusalHeaders(code: GatewayErrorCode, extra: Headers): Headers {
  const { status } = describeGatewayError(code)
  const canHelp = status === 503 || code === 'idempotency-key-in-progress'
  const retry: Headers = canHelp ? { 'retry-after': '1' } : { 'x-should-retry': 'false' }
  return { ...errorHeaders, ...retry, ...extra }
}
