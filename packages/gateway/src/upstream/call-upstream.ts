/** Sends one call to an upstream and hands on what comes back, chunk by chunk. */
import { errors, type Dispatcher } from 'undici'
import { defineCborRecord, type CborInput } from '@countersign/protocol/bytes/cbor-encode'
import { selectRequestHeaders } from '../http/headers.ts'
import type { IncomingHttpHeaders } from 'node:http'
import { expectSocket, type TlsEvidence } from './tls-evidence.ts'
import type { Upstream } from './upstreams.ts'

/** How an exchange with an upstream failed. */
export type UpstreamFailure = 'unreachable' | 'reset' | 'timeout' | 'answer-malformed'

/** Headers of an upstream's answer, lower-case names. */
export type UpstreamHeaders = Readonly<Record<string, string | string[] | undefined>>

/** Told what happens, in this order: onResponse once, onData often, then onEnd or onFailure once. */
export type UpstreamObserver = {
  onResponse(status: number, headers: UpstreamHeaders): void
  onData(chunk: Buffer): void
  onEnd(): void
  /** `wasSent` false: not a byte of the request left. */
  onFailure(failure: UpstreamFailure, wasSent: boolean): void
}

/** A running exchange. After `abort` the observer hears nothing more. */
export type UpstreamExchange = {
  pause(): void
  resume(): void
  abort(): void
  /** The TLS session, null for plain HTTP, undefined before a socket was chosen. */
  tls(): TlsEvidence | null | undefined
}

const upstreamRecord = defineCborRecord('tls', 'host', 'requestId')
const timeoutCodes = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
])
const malformedCodes = new Set(['UND_ERR_HEADERS_OVERFLOW', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'])

/** What is asked of an upstream. `path` is taken from its base URL on, query included. */
export type UpstreamCall = {
  readonly method: 'POST' | 'GET' | 'DELETE'
  readonly path: string
  readonly body: Buffer
  readonly headers: IncomingHttpHeaders
  /** Until the head of the answer, and between two pieces of it. */
  readonly firstByteTimeoutMs: number
  readonly idleTimeoutMs: number
}

/** Starts the exchange. */
export function callUpstream(
  upstream: Upstream,
  call: UpstreamCall,
  observer: UpstreamObserver,
): UpstreamExchange {
  const options = {
    method: call.method,
    path: upstream.basePath + call.path,
    headers: selectRequestHeaders(call.headers, upstream.dialect, upstream.credential),
    body: call.method === 'POST' ? call.body : null,
    headersTimeout: call.firstByteTimeoutMs,
    bodyTimeout: call.idleTimeoutMs,
  }
  const handler = new ExchangeHandler(observer, () => {
    options.body = null
  })
  upstream.pool.dispatch(options, handler)
  return handler
}

const nobody: UpstreamObserver = {
  onResponse: () => undefined,
  onData: () => undefined,
  onEnd: () => undefined,
  onFailure: () => undefined,
}

/** Owns the state of one exchange; undici calls its on… methods. */
class ExchangeHandler implements Dispatcher.DispatchHandler, UpstreamExchange {
  #observer: UpstreamObserver
  readonly #dropBody: () => void
  #controller: Dispatcher.DispatchController | undefined
  #evidence: TlsEvidence | null | undefined
  #isOver = false
  #hasResponse = false

  constructor(observer: UpstreamObserver, dropBody: () => void) {
    this.#observer = observer
    this.#dropBody = dropBody
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // Thrown before a byte is written it leaves the connection as it is; an abort would end it.
    if (this.#isOver) throw new Error('the call ended before it began')
    expectSocket(this)
  }

  onSocket(evidence: TlsEvidence | undefined): void {
    this.#evidence = evidence ?? null
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: UpstreamHeaders,
  ): void {
    if (this.#isOver || status < 200) return
    this.#hasResponse = true
    this.#observer.onResponse(status, headers)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#isOver) this.#observer.onData(chunk)
  }

  onResponseEnd(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#observer.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#observer.onFailure(this.#classify(error), this.#wasSent())
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    this.#controller?.resume()
  }

  abort(): void {
    if (this.#isOver) return
    this.#isOver = true
    if (this.#controller === undefined) {
      // It waits for a connection, and undici has no way out of that queue: nothing of the call waits with it.
      this.#dropBody()
      this.#observer = nobody
      return
    }
    this.#controller.abort(new Error('aborted by the gateway'))
  }

  tls(): TlsEvidence | null | undefined {
    return this.#evidence
  }

  #classify(error: Error): UpstreamFailure {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
    if (timeoutCodes.has(code)) return 'timeout'
    // undici gives its parser errors no code.
    if (malformedCodes.has(code) || error instanceof errors.HTTPParserError) {
      return 'answer-malformed'
    }
    return this.#wasSent() ? 'reset' : 'unreachable'
  }

  #wasSent(): boolean {
    return this.#hasResponse || this.#evidence !== undefined
  }
}

/** The `upstream` claim of an exchange. */
export function describeUpstreamClaim(
  upstream: Upstream,
  requestId: string | null,
  tls: TlsEvidence | null | undefined,
): CborInput {
  return upstreamRecord(tls ?? null, upstream.host, requestId)
}
