/** An upstream over plain HTTP that keeps what it was asked and answers as a test writes it. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/** A request that arrived whole. */
export interface ArrivedRequest {
  readonly method: string
  readonly path: string
  readonly body: Buffer
  readonly atMs: number
}

/** Answers a request; `index` counts those of this upstream from 0. */
export type Answerer = (
  response: ServerResponse,
  request: ArrivedRequest,
  index: number,
) => void | Promise<void>

/** A running upstream. */
export interface RecordingUpstream {
  readonly url: string
  readonly requests: ArrivedRequest[]
  /** What answers from now on. */
  answer: Answerer
  /** Resolves when so many requests have arrived. */
  arrived(count: number): Promise<void>
  stop(): Promise<void>
}

/** Starts it. */
export async function startRecordingUpstream(answer: Answerer): Promise<RecordingUpstream> {
  const waiting: { readonly count: number; readonly wake: () => void }[] = []
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readAll(request)
    const { method = '', url: path = '' } = request
    const arrived = { method, path, body, atMs: performance.now() }
    const index = upstream.requests.push(arrived) - 1
    for (const { count, wake } of waiting) if (count <= index + 1) wake()
    await upstream.answer(response, arrived, index)
  }
  const server = createServer((request, response) => {
    void serve(request, response)
  })
  // Whoever stood still for a while finds its connection as it was.
  server.keepAliveTimeout = 120_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const upstream: RecordingUpstream = {
    url: `http://127.0.0.1:${port}/v1`,
    requests: [],
    answer,
    arrived: (count) =>
      upstream.requests.length >= count
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiting.push({ count, wake: resolve })
          }),
    stop: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return upstream
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of request) if (chunk instanceof Uint8Array) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const json = { 'content-type': 'application/json' }

/** A chat answer with its usage. */
export function answerChat(response: ServerResponse, model = 'm', text = 'hello'): void {
  const message = { role: 'assistant', content: text }
  const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
  const body = { model, choices: [{ index: 0, message, finish_reason: 'stop' }], usage }
  response.writeHead(200, json).end(JSON.stringify(body))
}

/** An error in the form of OpenAI. */
export function answerError(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
  error: object = { message: 'not now', type: 'server_error' },
): void {
  response.writeHead(status, { ...json, ...headers }).end(JSON.stringify({ error }))
}
