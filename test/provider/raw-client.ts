/** A client that hides nothing: what node:http(s) saw of one response, errors included. */
import { request as httpRequest } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'

/** Where and how to call. */
export interface RawCall {
  readonly url: string
  readonly caPem?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Called with the response bytes so far after each piece; true ends the call at once. */
  readonly leaveWhen?: (bytesSoFar: number) => boolean
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

/** Calls over a fresh connection. Never rejects for what the server does: see `failure`. */
export async function callRaw(call: RawCall): Promise<RawResult> {
  const target = new URL(call.url)
  const options = {
    method: call.method ?? 'GET',
    headers: { ...call.headers },
    agent: false,
    ...(call.caPem === undefined ? {} : { ca: call.caPem }),
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
      response.on('data', (piece: Buffer) => {
        pieces.push(piece)
        bytesSoFar += piece.length
        if (call.leaveWhen?.(bytesSoFar) === true) request.destroy()
      })
    })
    request.on('error', (error: Error) => finish(toFailure(error)))
    request.end(call.body)
  })
}

function toFailure(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
