/** Sends spans to a collector, off the way of calls: a bounded queue, one request at a time. */
import type { Logger } from 'pino'
import { request } from 'undici'
import { encodeSpans, type Span } from './span.ts'

/** Owner of the queue. */
export type SpanExporter = {
  /** Never waits and never throws: what finds no place is dropped and counted. */
  put(span: Span): void
  /** Sends what is left, for two seconds at most. */
  close(): Promise<void>
}

/** Where spans go. */
export type ExporterOptions = {
  /** The whole URL, usually ending in /v1/traces. */
  readonly url: string
  readonly authorization: string | undefined
  readonly onResult: (result: 'exported' | 'dropped', spans: number) => void
  readonly log: Logger
}

const maxQueued = 4096
const maxBatch = 512
const flushAfterMs = 2000
const requestTimeoutMs = 10_000
const closeTimeoutMs = 2000
const retryable = new Set([429, 502, 503, 504])

/** An exporter with an empty queue. */
export function createSpanExporter(options: ExporterOptions): SpanExporter {
  const { onResult } = options
  // All owned here.
  let queue: Span[] = []
  let timer: NodeJS.Timeout | undefined
  let sending: Promise<void> | undefined
  let isClosing = false
  const deadline = new AbortController()

  function schedule(afterMs: number): void {
    if (isClosing) return
    timer ??= setTimeout(() => {
      timer = undefined
      flush()
    }, afterMs)
    timer.unref()
  }

  function flush(): void {
    if (queue.length > 0) sending ??= sendBatch()
  }

  /** Never rejects. */
  async function sendBatch(): Promise<void> {
    const batch = queue.slice(0, maxBatch)
    queue = queue.slice(maxBatch)
    const result = await post(options, encodeSpans(batch), deadline.signal)
    if (result === 'done') onResult('exported', batch.length)
    else putBack(result === 'later' ? batch : [], batch.length)
    sending = undefined
    if (queue.length > 0) schedule(result === 'done' && queue.length >= maxBatch ? 0 : flushAfterMs)
  }

  /** A collector that is away for a moment loses nothing; while closing nobody waits for it. */
  function putBack(batch: readonly Span[], sent: number): void {
    const kept = batch.slice(0, isClosing ? 0 : Math.max(0, maxQueued - queue.length))
    queue = [...kept, ...queue]
    if (kept.length < sent) onResult('dropped', sent - kept.length)
  }

  return {
    put(span) {
      if (isClosing || queue.length >= maxQueued) {
        onResult('dropped', 1)
        return
      }
      queue.push(span)
      if (queue.length >= maxBatch) flush()
      else schedule(flushAfterMs)
    },
    async close() {
      isClosing = true
      clearTimeout(timer)
      const patience = setTimeout(() => {
        deadline.abort()
      }, closeTimeoutMs)
      await sending
      while (queue.length > 0) {
        flush()
        await sending
      }
      clearTimeout(patience)
    },
  }
}

async function post(
  { url, authorization, log }: ExporterOptions,
  body: string,
  deadline: AbortSignal,
): Promise<'done' | 'later' | 'never'> {
  const headers = {
    'content-type': 'application/json',
    ...(authorization === undefined ? {} : { authorization }),
  }
  try {
    const signal = AbortSignal.any([deadline, AbortSignal.timeout(requestTimeoutMs)])
    const { statusCode, body: answer } = await request(url, {
      method: 'POST',
      headers,
      body,
      signal,
    })
    await answer.dump()
    if (statusCode >= 200 && statusCode < 300) return 'done'
    log.warn({ status: statusCode }, 'the collector refused spans')
    return retryable.has(statusCode) ? 'later' : 'never'
  } catch (error) {
    log.warn({ err: error }, 'spans could not be sent')
    return 'later'
  }
}
