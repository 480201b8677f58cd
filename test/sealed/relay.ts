/** A relay in front of a gateway: it reads what passes, and changes sealed calls as a test says. */
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { onTestFinished } from 'vitest'
import {
  createFrameReader,
  encodeFrame,
  encodeLastFrame,
} from '@countersign/protocol/sealed/chunk-frames'

/** What a relay does with a sealed call; without a rule it passes it on. */
export interface Rules {
  readonly request?: (body: Buffer) => Buffer
  readonly response?: (body: Buffer) => Buffer
}

/** A running relay, and what it has seen so far. */
export interface Relay {
  readonly url: string
  readonly seen: () => string
  readonly bodies: readonly Buffer[]
}

/** Starts one that ends with its test: it reads every byte in both directions. */
export async function startRelay(target: string, rules: Rules = {}): Promise<Relay> {
  const chunks: Buffer[] = []
  const bodies: Buffer[] = []
  const server = createServer((request, response) => {
    void (async () => {
      const isSealed = request.url === '/v1/sealed'
      const body = await readAll(request)
      chunks.push(Buffer.from(JSON.stringify([request.url, request.rawHeaders])), body)
      if (isSealed) bodies.push(body)
      const sent = isSealed ? (rules.request?.(body) ?? body) : body
      const { method, headers, url } = request
      const onward = httpRequest(`${target}${url ?? ''}`, {
        method,
        headers: { ...headers, 'content-length': sent.length },
      })
      onward.on('error', () => response.destroy())
      onward.end(sent)
      const [answer]: IncomingMessage[] = await once(onward, 'response')
      if (answer === undefined) throw new Error('no answer')
      response.writeHead(answer.statusCode ?? 0, answer.headers)
      if (isSealed && rules.response !== undefined) {
        const whole = await readAll(answer)
        response.end(rules.response(whole))
        return
      }
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', () => response.destroy())
      answer.pipe(response)
    })().catch(() => response.destroy())
  })
  // Whoever stood still for a while finds its connection as it was.
  server.keepAliveTimeout = 120_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${String(address.port)}`,
    seen: () => Buffer.concat(chunks).toString('latin1'),
    bodies,
  }
}

async function readAll(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  message.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(message, 'end')
  return Buffer.concat(chunks)
}

const nonceBytes = 16

/** Cuts a sealed answer into its chunks, the last one apart. */
export function cut(body: Buffer): {
  readonly nonce: Buffer
  readonly chunks: Uint8Array[]
  readonly last: Uint8Array
} {
  const reader = createFrameReader()
  const chunks = [...reader.push(body.subarray(nonceBytes))]
  return { nonce: body.subarray(0, nonceBytes), chunks, last: reader.end() }
}

/** The same chunks as one body. */
export function joinChunks({ nonce, chunks, last }: ReturnType<typeof cut>): Buffer {
  return Buffer.concat([nonce, ...chunks.map(encodeFrame), encodeLastFrame(last)])
}
