/** One exchange while it runs: the attempt under way, what has arrived of it, and the timers that can end it. */
import {
  callUpstream,
  type UpstreamExchange,
  type UpstreamHeaders,
} from '../upstream/call-upstream.ts'
import { createBodyCollector, type BodyCollector } from './body-collector.ts'
import { totalTimeIsOver, type Ending } from './ending.ts'
import type { SentCall } from './forward-request.ts'
import type { Gateway } from './gateway.ts'
import type { Call } from './open-call.ts'

/** The head of an upstream's answer. */
export type Head = {
  readonly kind: 'head'
  readonly status: number
  readonly headers: UpstreamHeaders
}

/** Owned by one exchange. */
export type Running = {
  readonly gateway: Gateway
  readonly call: Call
  readonly sent: SentCall
  readonly head: Promise<Head>
  readonly ended: Promise<Ending>
  readonly resolveHead: (head: Head) => void
  readonly end: (ending: Ending) => void
  exchange: UpstreamExchange | undefined
  deadline: NodeJS.Timeout | undefined
  /** Runs while the caller takes nothing. */
  patience: NodeJS.Timeout | undefined
  firstByteMs: number | null
  /** Takes the chunks of the body; collects them until somebody else wants them. */
  sink: (chunk: Buffer) => void
  readonly collected: BodyCollector
  sizeBytes: number
}

/** An exchange that has not begun. */
export function createRunning(gateway: Gateway, call: Call, sent: SentCall): Running {
  const head = Promise.withResolvers<Head>()
  const ended = Promise.withResolvers<Ending>()
  const running: Running = {
    gateway,
    call,
    sent,
    head: head.promise,
    ended: ended.promise,
    resolveHead: head.resolve,
    end: ended.resolve,
    exchange: undefined,
    deadline: undefined,
    patience: undefined,
    firstByteMs: null,
    sink: (chunk) => {
      collect(running, chunk)
    },
    collected: createBodyCollector(),
    sizeBytes: 0,
  }
  return running
}

/** Calls the upstream, unless the caller has left. */
export function start(running: Running): void {
  const { gateway, call, sent } = running
  running.deadline = setTimeout(() => {
    // Who does not read cannot make the call free by waiting for its end.
    const isCallerSlow = call.response.writableNeedDrain
    running.end(isCallerSlow ? { kind: 'caller-gone' } : totalTimeIsOver)
  }, gateway.config.limits.totalTimeoutMs)
  call.onGone(() => {
    running.exchange?.abort()
    running.end({ kind: 'caller-gone' })
  })
  if (call.isGone()) return
  const target = {
    method: sent.request.route.method,
    path: sent.forwarded.path,
    body: sent.forwarded.body,
    headers: sent.forwarded.translation?.headers ?? call.request.headers,
  }
  running.exchange = callUpstream(sent.chosen.route.upstream, target, {
    onResponse: (status, headers) => {
      running.firstByteMs = gateway.nowMs()
      const head: Head = { kind: 'head', status, headers }
      // A stream waits here until its payment is released; a whole body is collected meanwhile.
      if (isEventStream(head)) running.exchange?.pause()
      running.resolveHead(head)
    },
    onData: (chunk) => {
      running.sink(chunk)
    },
    onEnd: () => {
      running.end({ kind: 'upstream-ended' })
    },
    onFailure: (failure) => {
      running.end({ kind: 'upstream-failed', failure })
    },
  })
}

/** Ends the timers, and the upstream if it still runs. */
export function closeExchange(running: Running): void {
  clearTimeout(running.deadline)
  clearTimeout(running.patience)
  running.exchange?.abort()
}

function collect(running: Running, chunk: Buffer): void {
  if (isWithinLimit(running, chunk)) running.collected.append(chunk)
}

/** Ends an answer that is too large. Streams too: one event without an end would fill the memory. */
export function isWithinLimit(running: Running, chunk: Buffer): boolean {
  running.sizeBytes += chunk.length
  if (running.sizeBytes <= running.gateway.config.limits.maxResponseBytes) return true
  failAnswer(running)
  return false
}

/** Ends an answer that is not to be had. */
export function failAnswer(running: Running): void {
  running.exchange?.abort()
  running.end({ kind: 'upstream-failed', failure: 'answer-malformed' })
}

/** Whether an answer is relayed event by event. */
export function isEventStream({ status, headers }: Head): boolean {
  const [mediaType = ''] = String(headers['content-type']).split(';')
  return status === 200 && mediaType.trim().toLowerCase() === 'text/event-stream'
}
