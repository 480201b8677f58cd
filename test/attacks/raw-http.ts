/** Requests as bytes: header names twice, in any case, with any white space, and paths that no client would send. */
import type { PaidRequest } from './wire.ts'
import { connect } from 'node:net'

const withinMs = 60_000

/** Sends a request with these header lines and gives the status of the answer, 0 when there is none. */
export function sendRaw(
  url: string,
  request: PaidRequest,
  lines: readonly string[],
  options: { readonly method?: string; readonly host?: string } = {},
): Promise<number> {
  const { host, hostname, port } = new URL(url)
  const body = Buffer.from(request.body)
  const method = options.method ?? 'POST'
  const head = [
    `${method} ${request.path} HTTP/1.1`,
    `host: ${options.host ?? host}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    'connection: close',
    ...lines,
  ].join('\r\n')
  return new Promise((resolve) => {
    const socket = connect(Number(port === '' ? 80 : port), hostname)
    let text = ''
    const finish = (): void => {
      socket.destroy()
      resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0))
    }
    socket.setTimeout(withinMs, finish)
    socket.on('error', finish)
    socket.on('close', finish)
    socket.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString('latin1')).slice(0, 20)
    })
    socket.write(`${head}\r\n\r\n`)
    socket.write(body)
  })
}

/** Sends the head of a request and half of its body, and stays; the function that is returned leaves. */
export function openHalf(url: string, request: PaidRequest, payment: string): () => void {
  const { host, hostname, port } = new URL(url)
  const body = Buffer.from(request.body)
  const head = [
    `POST ${request.path} HTTP/1.1`,
    `host: ${host}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    `payment-signature: ${payment}`,
  ].join('\r\n')
  const socket = connect(Number(port === '' ? 80 : port), hostname)
  // Being thrown out is no fault of the server.
  socket.on('error', () => undefined)
  socket.write(`${head}\r\n\r\n`)
  socket.write(body.subarray(0, body.length >> 1))
  return () => socket.destroy()
}
