/** An HTTP service that gives one answer to everything, on a port of loopback or a Unix socket. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'

/** The answer; from the request where it is a function. `silent` never answers. */
export interface TextAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

/** A request as it came. */
export interface TextRequest {
  readonly method: string
  readonly path: string
  readonly contentType: string
  readonly body: string
}

/** A service that runs. */
export interface TextService {
  /** Empty for a socket. */
  readonly url: string
  readonly requests: readonly TextRequest[]
  stop(): Promise<void>
}

/** Starts a service. */
export async function serveText(
  answer: TextAnswer | 'silent' | ((request: TextRequest) => TextAnswer | Promise<TextAnswer>),
  socketPath?: string,
): Promise<TextService> {
  const requests: TextRequest[] = []
  const server = createServer((incoming, response) => {
    const respond = async (): Promise<void> => {
      const request = {
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        contentType: incoming.headers['content-type'] ?? '',
        body: await text(incoming),
      }
      requests.push(request)
      if (answer === 'silent') return
      const { status, headers, body } =
        typeof answer === 'function' ? await answer(request) : answer
      response.writeHead(status, headers).end(body)
    }
    respond().catch(() => response.writeHead(500).end())
  })
  // Whoever stood still for a while finds its connection as it was.
  server.keepAliveTimeout = 120_000
  if (socketPath === undefined) server.listen(0, '127.0.0.1')
  else server.listen(socketPath)
  await once(server, 'listening')
  const address = server.address()
  const isPort = typeof address === 'object' && address !== null
  return {
    url: isPort ? `http://127.0.0.1:${address.port}` : '',
    requests,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
