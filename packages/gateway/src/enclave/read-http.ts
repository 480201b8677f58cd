/** One exchange with a service on this machine or beyond it, with limits: how most sources of evidence are asked. */
import {
  request,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http'
import { request as requestTls } from 'node:https'
import { AttestationError } from './attestation-error.ts'

/** Where to post: a URL, or a path of a Unix socket. */
export type HttpTarget =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'socket'; readonly socketPath: string; readonly path: string }

/** Bounds of one exchange. */
export type HttpLimits = { readonly maxBytes: number; readonly timeoutMs: number }

/** An answer with status 200. */
export type HttpAnswer = { readonly headers: IncomingHttpHeaders; readonly body: Buffer }

/**
 * Posts a body and reads the answer.
 *
 * @throws AttestationError `attester-unreachable`, `attester-timeout`, `attester-refused` for another status than 200,
 *   `attester-malformed` for an answer that is larger than the limit.
 */
export function readHttp(
  target: HttpTarget,
  body: Uint8Array | string,
  contentType: string,
  limits: HttpLimits,
): Promise<HttpAnswer> {
  const headers = { 'content-type': contentType, 'content-length': Buffer.byteLength(body) }
  return exchange(target, { method: 'POST', headers, body }, limits)
}

/**
 * Reads what a URL gives.
 *
 * @throws AttestationError as `readHttp`.
 */
export function getHttp(
  url: string,
  headers: Readonly<Record<string, string>>,
  limits: HttpLimits,
): Promise<HttpAnswer> {
  return exchange({ kind: 'url', url }, { method: 'GET', headers, body: '' }, limits)
}

type Sent = {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string | number>>
  readonly body: Uint8Array | string
}

async function exchange(
  target: HttpTarget,
  { method, headers, body }: Sent,
  { maxBytes, timeoutMs }: HttpLimits,
): Promise<HttpAnswer> {
  const where = target.kind === 'url' ? new URL(target.url).host : target.socketPath
  const signal = AbortSignal.timeout(timeoutMs)
  const options = { method, headers, signal, agent: false }
  try {
    const sent =
      target.kind === 'socket'
        ? request({
            ...options,
            socketPath: target.socketPath,
            path: target.path,
            host: 'localhost',
          })
        : (target.url.startsWith('https:') ? requestTls : request)(target.url, options)
    sent.end(body)
    const response = await responseOf(sent)
    const { statusCode } = response
    if (statusCode !== 200) {
      response.destroy()
      throw new AttestationError('attester-refused', `${where} answered ${statusCode}`)
    }
    return { headers: response.headers, body: await readBounded(response, maxBytes, where) }
  } catch (cause) {
    if (cause instanceof AttestationError) throw cause
    const code = signal.aborted ? 'attester-timeout' : 'attester-unreachable'
    throw new AttestationError(code, where, { cause })
  }
}

async function responseOf(sent: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  sent.once('response', resolve).once('error', reject)
  return promise
}

async function readBounded(
  response: IncomingMessage,
  maxBytes: number,
  where: string,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue
    length += chunk.length
    if (length > maxBytes) throw new AttestationError('attester-malformed', `size of ${where}`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
