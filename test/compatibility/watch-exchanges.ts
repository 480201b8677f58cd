/**
 * Sees what a client sends and gets without standing in its way: Node's own `fetch` reports each request, so that the
 * clients run as they are published.
 */
import { subscribe } from 'node:diagnostics_channel'

/** One request and its answer, as bytes. */
export interface SeenExchange {
  readonly path: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly trailers: Readonly<Record<string, string>>
  /** Base64. */
  readonly request: string
  /** Base64. */
  readonly response: string
}

type Running = {
  readonly path: string
  readonly request: Buffer[]
  readonly response: Buffer[]
  status: number
  headers: Readonly<Record<string, string>>
  trailers: Readonly<Record<string, string>>
}

/** Watches every POST to an origin from now on. `take` returns those since the last time. */
export function watchExchanges(origin: string): { take(): readonly SeenExchange[] } {
  const byRequest = new WeakMap<object, Running>()
  // Owned here; emptied by `take`.
  let seen: Running[] = []
  const on = (event: string, listen: (running: Running, message: Message) => void): void => {
    subscribe(`undici:request:${event}`, (raw) => {
      const message = toMessage(raw)
      const running = byRequest.get(message.request)
      if (running !== undefined) listen(running, message)
    })
  }
  subscribe('undici:request:create', (raw) => {
    const { request } = toMessage(raw)
    if (request['method'] !== 'POST' || String(request['origin']) !== origin) return
    const path = String(request['path'])
    const running = { path, request: [], response: [], status: 0, headers: {}, trailers: {} }
    byRequest.set(request, running)
    seen.push(running)
  })
  on('bodyChunkSent', ({ request }, { chunk }) => {
    request.push(Buffer.from(chunk ?? []))
  })
  on('bodyChunkReceived', ({ response }, { chunk }) => {
    response.push(Buffer.from(chunk ?? []))
  })
  on('headers', (running, { response }) => {
    running.status = response?.statusCode ?? 0
    running.headers = toRecord(response?.headers ?? [])
  })
  on('trailers', (running, { trailers }) => {
    running.trailers = toRecord(trailers ?? [])
  })
  return {
    take() {
      const taken = seen.map(({ request, response, ...running }) => ({
        ...running,
        request: Buffer.concat(request).toString('base64'),
        response: Buffer.concat(response).toString('base64'),
      }))
      seen = []
      return taken
    },
  }
}

type Message = {
  readonly request: Readonly<Record<string, unknown>>
  readonly response?: { readonly statusCode: number; readonly headers: readonly Buffer[] }
  readonly chunk?: Uint8Array | string
  readonly trailers?: readonly Buffer[]
}

/** The documented form of these messages (undici, diagnostics channel). */
function isMessage(raw: unknown): raw is Message {
  return typeof raw === 'object' && raw !== null && 'request' in raw
}

function toMessage(raw: unknown): Message {
  if (!isMessage(raw)) throw new Error('Node reports its requests in another form now.')
  return raw
}

function toRecord(pairs: readonly Buffer[]): Readonly<Record<string, string>> {
  const texts = pairs.map(String)
  return Object.fromEntries(
    texts.flatMap((name, index) =>
      index % 2 === 0 ? [[name.toLowerCase(), texts[index + 1] ?? '']] : [],
    ),
  )
}
