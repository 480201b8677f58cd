/** Requests as bytes: header names twice, in any case, with any white space, and paths that no client would send. */
import type { PaidRequest } from './wire.ts'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

const withinMs = 60_000
const mostChars = 1_000_000

/** Of an answer: its status, 0 when there is none, and what came after its head, as it came. */
export type RawAnswer = { readonly status: number; readonly body: string }

/** The status says that the call was served. */
export function isOk({ status }: RawAnswer): boolean {
  return status >= 200 && status < 300
}

/** Sends a request with these header lines. */
export function sendRaw(
  url: string,
  request: PaidRequest,
  lines: readonly string[],
  options: { readonly method?: string; readonly host?: string } = {},
): Promise<RawAnswer> {
  const { host } = new URL(url)
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
    const socket = open(url)
    let text = ''
    const finish = (): void => {
      socket.destroy()
      resolve(parseAnswer(text))
    }
    socket.setTimeout(withinMs, finish)
    socket.on('error', finish)
    socket.on('close', finish)
    socket.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString('latin1')).slice(0, mostChars)
    })
    socket.write(`${head}\r\n\r\n`)
    socket.write(body)
  })
}

function parseAnswer(text: string): RawAnswer {
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)
  const end = text.indexOf('\r\n\r\n')
  return { status, body: end === -1 ? '' : text.slice(end + 4) }
}

/** Sends the head of a request and half of its body, and stays; the function that is returned leaves. */
export function openHalf(url: string, request: PaidRequest, payment: string): () => void {
  const { host } = new URL(url)
  const body = Buffer.from(request.body)
  const head = [
    `POST ${request.path} HTTP/1.1`,
    `host: ${host}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    `payment-signature: ${payment}`,
  ].join('\r\n')
  const socket = open(url)
  // Being thrown out is no fault of the server.
  socket.on('error', () => undefined)
  socket.write(`${head}\r\n\r\n`)
  socket.write(body.subarray(0, body.length >> 1))
  return () => socket.destroy()
}

function open(url: string): Socket {
  const { protocol, hostname, port } = new URL(url)
  // An address of IPv6 stands in brackets in a URL only.
  const host = hostname.replace(/^\[|\]$/g, '')
  if (protocol === 'https:') {
    const servername = isIP(host) === 0 ? { servername: host } : {}
    return connectTls({
      host,
      port: Number(port || 443),
      ALPNProtocols: ['http/1.1'],
      ...servername,
    })
  }
  return connect(Number(port || 80), host)
}
