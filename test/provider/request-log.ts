/**
 * What the loopback provider saw: the last 1,000 requests with their exact bytes, and how each
 * ended. Tests read it over GET /__loopback/log to prove what a gateway forwarded and when it let
 * go of a call.
 */
import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** How a request ended; `afterMs` counts from the arrival of its head. */
type RequestEnd =
  | { readonly kind: 'open' }
  | { readonly kind: 'complete'; readonly afterMs: number }
  | { readonly kind: 'aborted-by-client'; readonly afterMs: number }
  | { readonly kind: 'closed-by-provider'; readonly afterMs: number }

/** One request as GET /__loopback/log returns it. */
export interface LoggedRequest {
  /** 1, 2, 3… since the last reset. */
  readonly sequence: number
  /** Same number = same TCP connection. */
  readonly connection: number
  readonly method: string
  readonly path: string
  /** Lower-case names; repeated headers are joined by ", ". */
  readonly headers: Readonly<Record<string, string>>
  /** As received: order, case and repetitions. */
  readonly rawHeaders: readonly (readonly [string, string])[]
  /** Lower-case hex SHA-256 of the request body received so far. */
  readonly bodySha256: string
  /** The request body, or null once it was dropped to keep the log below 64 MiB. */
  readonly bodyBase64: string | null
  /** When the head arrived, ms since 1970 with fractions. */
  readonly startedAtMs: number
  /** Null while no response head was sent. */
  readonly status: number | null
  /** Response body bytes handed to the connection, framing of HTTP not counted. */
  readonly bytesWritten: number
  /** Lower-case hex SHA-256 of those bytes. */
  readonly responseSha256: string
  /** True while hostile-many-events waits because the client reads too slowly. */
  readonly waitingForReader: boolean
  readonly end: RequestEnd
}

/** A request being recorded. Owner of the mutable fields: the exchange that serves the request. */
export interface OpenRecord {
  readonly sequence: number
  readonly connection: number
  readonly request: IncomingMessage
  readonly startedAtMs: number
  readonly responseHash: Hash
  body: Buffer | null
  bodySha256: string
  status: number | null
  bytesWritten: number
  waitingForReader: boolean
  end: RequestEnd
}

/** The log. It holds at most 1,000 requests and 64 MiB of request bodies, newest kept. */
export interface RequestLog {
  /** Starts a record for a request whose head has arrived. */
  open(request: IncomingMessage, connection: number): OpenRecord
  /** Stores the complete request body. */
  setBody(record: OpenRecord, body: Buffer): void
  /** Stores how it ended; later calls change nothing. */
  close(record: OpenRecord, kind: Exclude<RequestEnd['kind'], 'open'>): void
  /**
   * Resolves when at least `atLeast` requests have arrived since the last reset and none is open,
   * or after `timeoutMs`.
   */
  waitUntilIdle(timeoutMs: number, atLeast: number): Promise<void>
  /** Forgets all requests; those still open end unseen. */
  reset(): void
  toJson(): readonly LoggedRequest[]
}

const maxRequests = 1000
const maxBodyBytes = 64 * 1024 * 1024
const emptySha256 = createHash('sha256').digest('hex')

/** Makes an empty log. `clock` gives ms since 1970, with fractions where it can. */
export function createRequestLog(clock: () => number): RequestLog {
  // Owned by this log: the records in order of arrival, bytes held, and those who wait for idle.
  let records: OpenRecord[] = []
  let bodyBytes = 0
  let nextSequence = 1
  let idleWaiters: { readonly atLeast: number; readonly wake: () => void }[] = []

  function wakeIfIdle(): void {
    if (records.some((record) => record.end.kind === 'open')) return
    const arrived = nextSequence - 1
    const ready = idleWaiters.filter((waiter) => waiter.atLeast <= arrived)
    idleWaiters = idleWaiters.filter((waiter) => waiter.atLeast > arrived)
    for (const { wake } of ready) wake()
  }

  function dropBody(record: OpenRecord): void {
    bodyBytes -= record.body?.length ?? 0
    record.body = null
  }

  return {
    open(request, connection) {
      const record: OpenRecord = {
        sequence: nextSequence++,
        connection,
        request,
        startedAtMs: clock(),
        responseHash: createHash('sha256'),
        body: Buffer.alloc(0),
        bodySha256: emptySha256,
        status: null,
        bytesWritten: 0,
        waitingForReader: false,
        end: { kind: 'open' },
      }
      records.push(record)
      if (records.length > maxRequests) for (const old of records.splice(0, 1)) dropBody(old)
      return record
    },
    setBody(record, body) {
      record.bodySha256 = createHash('sha256').update(body).digest('hex')
      if (!records.includes(record)) return
      record.body = body
      bodyBytes += body.length
      for (const old of records) {
        if (bodyBytes <= maxBodyBytes) break
        if (old !== record) dropBody(old)
      }
    },
    close(record, kind) {
      if (record.end.kind !== 'open') return
      record.end = { kind, afterMs: clock() - record.startedAtMs }
      wakeIfIdle()
    },
    async waitUntilIdle(timeoutMs, atLeast) {
      await new Promise<void>((resolve) => {
        const waiter = {
          atLeast,
          wake: () => {
            clearTimeout(timer)
            resolve()
          },
        }
        const timer = setTimeout(() => {
          idleWaiters = idleWaiters.filter((other) => other !== waiter)
          resolve()
        }, timeoutMs)
        idleWaiters.push(waiter)
        wakeIfIdle()
      })
    },
    reset() {
      records = []
      bodyBytes = 0
      nextSequence = 1
      wakeIfIdle()
    },
    toJson: () => records.map(toLoggedRequest),
  }
}

function toLoggedRequest(record: OpenRecord): LoggedRequest {
  const { request, responseHash, body, ...rest } = record
  const names = request.rawHeaders.filter((_, index) => index % 2 === 0)
  const values = request.rawHeaders.filter((_, index) => index % 2 === 1)
  const rawHeaders = names.map((name, index) => [name, values[index] ?? ''] as const)
  const headers = Object.entries(request.headersDistinct).map(
    ([name, all]) => [name, (all ?? []).join(', ')] as const,
  )
  return {
    ...rest,
    method: request.method ?? '',
    path: request.url ?? '',
    headers: Object.fromEntries(headers),
    rawHeaders,
    bodyBase64: body === null ? null : body.toString('base64'),
    responseSha256: responseHash.copy().digest('hex'),
  }
}
