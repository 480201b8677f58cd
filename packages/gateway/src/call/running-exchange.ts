/** One exchange while it runs: the attempt under way, what has arrived of it, and the timers that can end it. */
import {
  callUpstream,
  type UpstreamExchange,
  type UpstreamHeaders,
} from '../upstream/call-upstream.ts'
import type { Route } from '../upstream/upstreams.ts'
import { createBodyCollector, type BodyCollector } from './body-collector.ts'
import { answerIsMalformed, gatewayHasStopped, totalTimeIsOver, type Ending } from './ending.ts'
import type { FailedAttempt } from './exchange.ts'
import type { SentCall } from './forward-request.ts'
import type { Gateway } from './gateway.ts'
import type { Call } from './open-call.ts'

/** The head of an upstream's answer. */
export type Head = {
  readonly kind: 'head'
  readonly status: number
  readonly headers: UpstreamHeaders
}

/** One request to one upstream. */
export type Attempt = {
  /** The head of the answer, or the end of an attempt that has none. */
  readonly begun: Promise<Head | Ending>
  readonly ended: Promise<Ending>
  readonly resolveHead: (head: Head) => void
  readonly end: (ending: Ending) => void
  readonly collected: BodyCollector
  exchange: UpstreamExchange | undefined
  sentMs: number
  firstByteMs: number | null
  sizeBytes: number
}

/** The reading of an answer whose caller has left. `end`: why it ended before the answer did. */
export type Drain = {
  readonly leftMs: number
  readonly timer: NodeJS.Timeout
  end: 'maximum' | 'time' | 'shutdown' | undefined
}

/** Owned by one exchange. */
export type Running = {
  readonly gateway: Gateway
  readonly call: Call
  /** As it goes to the upstream of the attempt under way. */
  sent: SentCall
  attempt: Attempt
  /** Attempts at this upstream, the one under way included. */
  attemptsHere: number
  /** Routes that were not tried. */
  remaining: readonly Route[]
  failed: readonly FailedAttempt[]
  hasLeft: boolean
  /** A byte of a stream was written. */
  hasWritten: boolean
  /** Set when the answer is read on for a caller who has left. */
  drain: Drain | undefined
  /** Told that the caller has left, and how long the route reads on for one; how long this answer is read on. */
  onLeave: (drainMs: number) => number
  isClosed: boolean
  /** The answer was ended because it is larger than it may be. */
  isOutgrown: boolean
  deadline: NodeJS.Timeout | undefined
  /** Runs while the caller takes nothing. */
  patience: NodeJS.Timeout | undefined
  /** Takes the chunks of the body; collects them until somebody else wants them. */
  sink: (chunk: Buffer) => void
}

/** An exchange that has not begun. */
export function createRunning(gateway: Gateway, call: Call, sent: SentCall): Running {
  const running: Running = {
    gateway,
    call,
    sent,
    attempt: createAttempt(),
    attemptsHere: 0,
    remaining: sent.chosen.others,
    failed: noFailures,
    hasLeft: false,
    hasWritten: false,
    drain: undefined,
    onLeave: (drainMs) => drainMs,
    isClosed: false,
    isOutgrown: false,
    deadline: undefined,
    patience: undefined,
    sink: (chunk) => {
      if (isWithinLimit(running, chunk)) running.attempt.collected.append(chunk)
    },
  }
  return running
}

const noFailures: readonly FailedAttempt[] = []

function createAttempt(): Attempt {
  const begun = Promise.withResolvers<Head | Ending>()
  const ended = Promise.withResolvers<Ending>()
  return {
    begun: begun.promise,
    ended: ended.promise,
    resolveHead: begun.resolve,
    end: (ending) => {
      begun.resolve(ending)
      ended.resolve(ending)
    },
    collected: createBodyCollector(),
    exchange: undefined,
    sentMs: 0,
    firstByteMs: null,
    sizeBytes: 0,
  }
}

/** Starts what can end an exchange from outside: its time, its caller, the end of the gateway. */
export function openExchange(running: Running): void {
  const { call, sent } = running
  running.deadline = setTimeout(() => {
    if (running.drain !== undefined) endDrain(running, 'time')
    // Who does not read cannot make the call free by waiting for its end.
    else if (call.response.writableNeedDrain) running.attempt.end({ kind: 'caller-gone' })
    else running.attempt.end(totalTimeIsOver)
  }, sent.chosen.route.behaviour.totalTimeoutMs)
  call.onGone(() => {
    leave(running)
  })
  call.onStop(() => {
    if (running.drain !== undefined) endDrain(running, 'shutdown')
    else running.attempt.end(gatewayHasStopped)
  })
}

/** The caller has left, or takes nothing any more: the upstream ends, or is read on without it. */
export function leave(running: Running): void {
  if (running.hasLeft || running.isClosed) return
  running.hasLeft = true
  clearTimeout(running.patience)
  const { attempt, sent, gateway } = running
  const { drainMs } = sent.chosen.route.behaviour
  const readOnMs = attempt.exchange === undefined ? 0 : running.onLeave(drainMs)
  if (readOnMs === 0) {
    endForCaller(running)
    return
  }
  const timer = setTimeout(() => {
    endDrain(running, 'time')
  }, readOnMs)
  running.drain = { leftMs: gateway.nowMs(), timer, end: undefined }
}

/** Stops the reading of an answer whose caller has left. */
export function endDrain(running: Running, end: Drain['end']): void {
  if (running.drain !== undefined) running.drain.end ??= end
  endForCaller(running)
}

function endForCaller({ attempt }: Running): void {
  attempt.exchange?.abort()
  attempt.end({ kind: 'caller-gone' })
}

/** Sends the request, unless the caller has left or the gateway has stopped. */
export function startAttempt(running: Running): void {
  const { gateway, call, sent, attempt } = running
  const { upstream, behaviour } = sent.chosen.route
  attempt.sentMs = gateway.nowMs()
  if (call.isGone()) {
    attempt.end({ kind: 'caller-gone' })
    return
  }
  // It was admitted while the gateway stopped. The end of the exchange was told to its first attempt only.
  if (call.isStopped()) {
    attempt.end(gatewayHasStopped)
    return
  }
  const target = {
    method: sent.request.route.method,
    path: sent.forwarded.path,
    body: sent.forwarded.body,
    headers: sent.forwarded.translation?.headers ?? call.request.headers,
    firstByteTimeoutMs: behaviour.firstByteTimeoutMs,
    idleTimeoutMs: behaviour.idleTimeoutMs,
  }
  running.attemptsHere++
  attempt.exchange = callUpstream(upstream, target, {
    onResponse: (status, headers) => {
      attempt.firstByteMs = gateway.nowMs()
      const head: Head = { kind: 'head', status, headers }
      // A stream waits here until its payment is released; a whole body is collected meanwhile.
      if (isEventStream(head)) attempt.exchange?.pause()
      attempt.resolveHead(head)
    },
    onData: (chunk) => {
      running.sink(chunk)
    },
    onEnd: () => {
      attempt.end({ kind: 'upstream-ended' })
    },
    onFailure: (failure, wasSent) => {
      attempt.end({ kind: 'upstream-failed', failure, wasSent })
    },
  })
}

/** Ends what is left of an attempt that failed. */
export function closeAttempt({ attempt }: Running): void {
  attempt.exchange?.abort()
}

/** Puts the next attempt in the place of the one that failed. */
export function renewAttempt(running: Running): void {
  running.attempt = createAttempt()
  // A call can end before it is sent again.
  running.attempt.sentMs = running.gateway.nowMs()
}

/** Ends the timers, and the upstream if it still runs. */
export function closeExchange(running: Running): void {
  running.isClosed = true
  clearTimeout(running.drain?.timer)
  clearTimeout(running.deadline)
  clearTimeout(running.patience)
  running.attempt.exchange?.abort()
}

/** Ends an answer that is too large. Streams too: one event without an end would fill the memory. */
export function isWithinLimit(running: Running, chunk: Buffer): boolean {
  running.attempt.sizeBytes += chunk.length
  if (running.attempt.sizeBytes <= running.gateway.config.limits.maxResponseBytes) return true
  outgrow(running)
  return false
}

/** Ends an answer that is larger than it may be. */
export function outgrow(running: Running): void {
  running.isOutgrown = true
  failAnswer(running)
}

/** Ends an answer that is not to be had. */
export function failAnswer({ attempt }: Running): void {
  attempt.exchange?.abort()
  attempt.end(answerIsMalformed)
}

/** Whether an answer is relayed event by event. */
export function isEventStream({ status, headers }: Head): boolean {
  const [mediaType = ''] = String(headers['content-type']).split(';')
  return status === 200 && mediaType.trim().toLowerCase() === 'text/event-stream'
}
