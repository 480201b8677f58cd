/** A client that hides nothing: what node:http(s) saw of one response, errors included. */
import { request as httpRequest } from 'node:http'
import type { Agent, IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'

/** Where and how to call. */
export interface RawCall {
  readonly url: string
  readonly caPem?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Ends the call when `body` is on its way, however much content-length announces. */
  readonly leaveOnceSent?: boolean
  /** Called with the response bytes so far after each piece; true ends the call at once. */
  readonly leaveWhen?: (bytesSoFar: number) => boolean
  /** Ends the call when it aborts. */
  readonly leaveSignal?: AbortSignal
  /** Leaves the response body unread until this resolves. */
  readonly holdUntil?: Promise<unknown>
  /** Whose connections are used; by default each call has a fresh one. */
  readonly agent?: Agent
  /** Largest response head accepted; default 16 KiB. */
  readonly maxHeaderSize?: number
}

/** What came back. `failure` is null when HTTP says that the response is complete. */
export interface RawResult {
  readonly status: number | null
  readonly headers: IncomingHttpHeaders
  readonly trailers: Readonly<Record<string, string | undefined>>
  readonly informationalStatuses: readonly number[]
  /** Body bytes as they arrived, one piece per HTTP chunk or socket read. */
  readonly pieces: readonly Buffer[]
  readonly body: Buffer
  readonly failure: string | null
}

/** Makes one call. Never rejects for what the server does: see `failure`. */
export async function callRaw(call: RawCall): Promise<RawResult> {
  const target = new URL(call.url)
  const options = {
    method: call.method ?? 'GET',
    headers: { ...call.headers },
    agent: call.agent ?? (false as const),
    ...(call.caPem === undefined ? {} : { ca: call.caPem }),
    ...(call.leaveSignal === undefined ? {} : { signal: call.leaveSignal }),
    ...(call.maxHeaderSize === undefined ? {} : { maxHeaderSize: call.maxHeaderSize }),
  }
  const request =
    target.protocol === 'https:' ? httpsRequest(target, options) : httpRequest(target, options)
  return new Promise((resolve) => {
    const informationalStatuses: number[] = []
    const pieces: Buffer[] = []
    let bytesSoFar = 0
    const finish = (
      failure: string | null,
      response?: {
        readonly statusCode?: number | undefined
        readonly headers: IncomingHttpHeaders
        readonly trailers: Readonly<Record<string, string | undefined>>
      },
    ): void =>
      resolve({
        status: response?.statusCode ?? null,
        headers: response?.headers ?? {},
        trailers: response?.trailers ?? {},
        informationalStatuses,
        pieces,
        body: Buffer.concat(pieces),
        failure,
      })
    request.on('information', ({ statusCode }) => informationalStatuses.push(statusCode))
    request.once('response', (response) => {
      // Errors of the connection reach the request, the response, or both; the first one counts.
      request.removeAllListeners('error')
      request.on('error', (error: Error) => finish(toFailure(error), response))
      response.on('error', (error: Error) => finish(toFailure(error), response))
      response.once('end', () => finish(null, response))
      const read = (piece: Buffer): void => {
        pieces.push(piece)
        bytesSoFar += piece.length
        if (call.leaveWhen?.(bytesSoFar) === true) request.destroy()
      }
      void (call.holdUntil ?? Promise.resolve()).then(() => response.on('data', read))
    })
    request.on('error', (error: Error) => finish(toFailure(error)))
    if (call.leaveOnceSent === true) request.write(call.body ?? '', () => request.destroy())
    else request.end(call.body)
  })
}

/** Posts a chat request with one user message to a running loopback provider. */
export async function callChat(
  provider: { readonly url: string; readonly caPem?: string },
  chat: { readonly model: string; readonly stream: boolean; readonly prompt: string },
  more: Partial<RawCall> = {},
): Promise<RawResult> {
  const messages = [{ role: 'user', content: chat.prompt }]
  return callRaw({
    url: `${provider.url}/chat/completions`,
    ...(provider.caPem === undefined ? {} : { caPem: provider.caPem }),
    method: 'POST',
    body: JSON.stringify({ model: chat.model, stream: chat.stream, messages }),
    ...more,
  })
}

function toFailure(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
