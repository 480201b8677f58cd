/** Answers bytes that are no HTTP request: there is no call, hence no statement, but the same form of error. */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { createErrorBody } from '../call/call-refused.ts'
import { describeGatewayError, type GatewayErrorCode } from '../errors.ts'

const codes = new Map<string, GatewayErrorCode>([
  ['HPE_HEADER_OVERFLOW', 'headers-too-large'],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 'headers-too-large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', 'request-timeout'],
])

/** The caller has so long to read the answer and to close its side. */
const lingerMs = 10_000

/** Ends the connection; with an answer, unless one may be on its way already. */
export function answerUnreadable(error: Error, socket: Duplex, timeoutMs = lingerMs): void {
  const reason = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const hasAnswered = 'bytesWritten' in socket && socket.bytesWritten !== 0
  if (!socket.writable || hasAnswered || reason === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const code = codes.get(reason) ?? 'request-malformed'
  const body = createErrorBody(code, 'The bytes that came are no HTTP request that can be read.')
  const { status } = describeGatewayError(code)
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    'cache-control: no-store',
    'x-should-retry: false',
    'connection: close',
  ]
  socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]))
  // The server looks after it no more: whoever leaves its side open would keep it for ever.
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  socket.once('close', () => {
    clearTimeout(timer)
  })
}
