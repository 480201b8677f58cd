/**
 * One request and its response, as behaviours handle it: every body byte goes through `write`, so
 * the log knows exactly what left, and every wait ends when the connection does.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { toErrorBody } from './provider-error.ts'
import type { ProviderError } from './provider-error.ts'
import type { OpenRecord, RequestLog } from './request-log.ts'

/** Response headers by name; an array repeats the header. */
export type Headers = Readonly<Record<string, string | string[]>>

/** Thrown by `write`, `pause` and `untilClosed` when the connection is gone. Not a failure. */
export class ExchangeClosedError extends Error {
  constructor(options?: ErrorOptions) {
    super('The connection of this exchange is closed.', options)
    this.name = 'ExchangeClosedError'
  }
}

/** A request being answered. Owner of the response: nothing else writes to it. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Buffer
  /** Sends the status line and headers: the provider's usual ones, overridden by `headers`. */
  start(status: number, headers: Headers): void
  /** Writes body bytes and resolves when the connection has taken them. */
  write(bytes: Uint8Array): Promise<void>
  /** Writes body bytes and waits only when the peer is slower than we are. */
  writeFast(bytes: Uint8Array): Promise<void>
  /** Ends the body in the orderly way. */
  finish(): Promise<void>
  /** A complete response with content-length. */
  answer(status: number, headers: Headers, body: Uint8Array): Promise<void>
  /** A complete OpenAI-shaped error. */
  refuse(error: ProviderError): Promise<void>
  /** Writes bytes below HTTP, for responses that node:http refuses to make. */
  writeRaw(bytes: Uint8Array): Promise<void>
  /** Ends the connection: `reset` by TCP RST, `close` by an orderly FIN. */
  cut(how: 'reset' | 'close'): void
  /** Resolves after `ms`; rejects when the connection ends first. */
  pause(ms: number): Promise<void>
  /** Says nothing more until the connection ends; always rejects then. */
  untilClosed(): Promise<never>
}

/** Everything that an exchange needs from the server around it. */
export interface ExchangeParts {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Buffer
  readonly record: OpenRecord
  readonly log: RequestLog
  /** The TCP socket below TLS, or the same socket when there is no TLS. */
  readonly transport: Socket
  readonly clock: () => number
}

/** Wraps one request whose body has arrived. */
export function createExchange(parts: ExchangeParts): Exchange {
  const { request, response, body, record, log, transport } = parts
  const closed = new AbortController()
  response.once('close', () => closed.abort())
  if (response.destroyed) closed.abort()

  async function untilDone(start: (done: () => void) => void): Promise<void> {
    if (closed.signal.aborted || response.destroyed) throw new ExchangeClosedError()
    await new Promise<void>((resolve, reject) => {
      const onClosed = (): void => reject(new ExchangeClosedError())
      closed.signal.addEventListener('abort', onClosed, { once: true })
      start(() => {
        closed.signal.removeEventListener('abort', onClosed)
        resolve()
      })
    })
  }

  function count(bytes: Uint8Array): void {
    record.bytesWritten += bytes.length
    record.responseHash.update(bytes)
  }

  const exchange: Exchange = {
    request,
    response,
    body,
    start(status, headers) {
      record.status = status
      response.writeHead(status, { ...usualHeaders(parts), ...headers })
      response.flushHeaders()
    },
    write: async (bytes) =>
      untilDone((done) => {
        count(bytes)
        response.write(bytes, (error) => (error instanceof Error ? undefined : done()))
      }),
    writeFast: async (bytes) => {
      if (closed.signal.aborted || response.destroyed) throw new ExchangeClosedError()
      count(bytes)
      if (response.write(bytes)) return
      record.waitingForReader = true
      await untilDone((done) => response.once('drain', done))
      record.waitingForReader = false
    },
    finish: async () => untilDone((done) => response.end(done)),
    async answer(status, headers, bytes) {
      const contentLength = { 'content-length': String(bytes.length) }
      record.status = status
      response.writeHead(status, { ...usualHeaders(parts), ...headers, ...contentLength })
      count(bytes)
      await untilDone((done) => response.end(bytes, done))
    },
    async refuse(error) {
      const headers = { ...error.headers, 'content-type': 'application/json' }
      await exchange.answer(error.status, headers, toErrorBody(error))
    },
    writeRaw: async (bytes) =>
      untilDone((done) => {
        count(bytes)
        request.socket.write(bytes, (error) => (error instanceof Error ? undefined : done()))
      }),
    cut(how) {
      log.close(record, 'closed-by-provider')
      if (how === 'reset') transport.resetAndDestroy()
      else request.socket.end()
    },
    pause: async (ms) => {
      if (ms === 0) return
      await untilDone((done) => setTimeout(done, ms))
    },
    untilClosed: async () => {
      await untilDone(() => undefined)
      throw new ExchangeClosedError()
    },
  }
  return exchange
}

/**
 * Headers of a real answer. A gateway keeps the first group and must strip the second: it would
 * hand the operator's account, cookies or transport policy to a caller.
 */
function usualHeaders(parts: ExchangeParts): Record<string, string | string[]> {
  const elapsedMs = Math.max(1, Math.round(parts.clock() - parts.record.startedAtMs))
  return {
    'x-request-id': toRequestId(parts.record),
    'openai-processing-ms': String(elapsedMs),
    'openai-version': '2020-10-01',

    server: 'loopback-provider',
    'set-cookie': ['__cf_bm=loopback; path=/; Secure; HttpOnly', '_cfuvid=loopback; path=/'],
    'openai-organization': 'loopback-operator',
    'openai-project': 'proj_loopback',
    'x-ratelimit-limit-requests': '10000',
    'x-ratelimit-remaining-requests': '9999',
    'x-ratelimit-reset-requests': '6ms',
    'x-ratelimit-limit-tokens': '200000',
    'x-ratelimit-remaining-tokens': '199000',
    'strict-transport-security': 'max-age=31536000; includeSubDomains; preload',
    'alt-svc': 'h3=":443"; ma=86400',
    'access-control-expose-headers': 'X-Request-ID',
    'x-content-type-options': 'nosniff',
  }
}

/** `req_` and 32 hex digits from the request's number and body: new for each request. */
function toRequestId(record: OpenRecord): string {
  const sequence = record.sequence.toString(16).padStart(8, '0')
  return `req_${sequence}${record.bodySha256.slice(0, 24)}`
}
