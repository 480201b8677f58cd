/** An upstream over plain HTTP that gives the answers of a test one after another, and keeps what it was asked. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'

/** One answer. */
export interface QueuedAnswer {
  readonly status?: number
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Pieces are written one by one. */
  readonly body: string | readonly string[]
  /** Leaves the body without its end. */
  readonly isCut?: boolean
}

/** One request as it came. */
export interface SeenRequest {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A running upstream. */
export interface QueuedUpstream {
  /** Origin, without a version. */
  readonly origin: string
  readonly seen: readonly SeenRequest[]
  /** Forgets what was seen, and answers with these next. */
  queue(...answers: readonly QueuedAnswer[]): void
  stop(): Promise<void>
}

/** Starts it. A request too many gets status 599. */
export async function startQueuedUpstream(): Promise<QueuedUpstream> {
  const seen: SeenRequest[] = []
  let answers: QueuedAnswer[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once('end', () => {
      const body = Buffer.concat(chunks).toString()
      seen.push({ path: request.url ?? '', headers: request.headers, body })
      const answer = answers.shift() ?? { status: 599, body: '{}' }
      const type = answer.type ?? 'application/json'
      response.writeHead(answer.status ?? 200, { 'content-type': type, ...answer.headers })
      const pieces = typeof answer.body === 'string' ? [answer.body] : answer.body
      for (const piece of pieces) response.write(piece)
      if (answer.isCut === true) response.write('', () => response.socket?.resetAndDestroy())
      else response.end()
    })
  })
  // Whoever stood still for a while finds its connection as it was.
  server.keepAliveTimeout = 120_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    origin: `http://127.0.0.1:${port}`,
    seen,
    queue: (...next) => {
      seen.length = 0
      answers = [...next]
    },
    stop: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
