/** Calls the upstream and relays its answer: nothing leaves before the payment is released, nothing is held back after. */
import type { AdmittedPayment, Release } from '../payment/admission.ts'
import {
  callUpstream,
  describeUpstreamClaim,
  type UpstreamExchange,
  type UpstreamHeaders,
} from '../upstream/call-upstream.ts'
import type { MeterWire } from '../metering/observe-usage.ts'
import { createReferenceRecorder, type ReferenceRecorder } from '../references/record-references.ts'
import { maxKeptAnswerBytes } from './answer-cache.ts'
import { maxEstimatedBytes } from './bill.ts'
import {
  createBodyCollector,
  createBodyKeeper,
  type BodyCollector,
  type BodyKeeper,
} from './body-collector.ts'
import { createChunkBatch } from './chunk-batch.ts'
import { CallRefused } from './call-refused.ts'
import { beginStream, identityHeaders } from './deliver.ts'
import {
  abortedByClient,
  createErrorAnswer,
  failedState,
  failureCodes,
  judgeStreamEnd,
  totalTimeIsOver,
  type Ending,
} from './ending.ts'
import {
  createStreamRecorder,
  emptyBody,
  noObservation,
  recordBody,
  type BodyRecord,
  type ExchangeRecord,
  type StreamRecorder,
} from './exchange.ts'
import type { Gateway } from './gateway.ts'
import type { SentCall } from './forward-request.ts'
import { isCoded, isEventStream, judgeWholeAnswer } from './judge-answer.ts'
import type { Call } from './open-call.ts'
import { createUsageCutter, type CutStream } from './usage-cutter.ts'

type Head = { readonly kind: 'head'; readonly status: number; readonly headers: UpstreamHeaders }

/** Most events of a stream. */
const maxEvents = 1_000_000

/**
 * Runs one exchange to its end, whatever that is: upstream failures, time-outs and a caller who leaves are records.
 *
 * @throws CallRefused when the payment does not settle; the upstream is aborted then and nothing was returned.
 */
export async function exchangeWithUpstream(
  gateway: Gateway,
  call: Call,
  sent: SentCall,
  payment: AdmittedPayment,
): Promise<ExchangeRecord> {
  const running = createRunning(gateway, call, sent)
  call.onStop(() => {
    running.end({ kind: 'out-of-time', error: 'shutdown' })
  })
  try {
    start(running)
    const head = await Promise.race([running.head, running.ended])
    if (head.kind !== 'head') return recordUnanswered(running, head)
    const { meter } = sent.chosen
    const references = createReferenceRecorder(gateway, call, sent, payment.payer)
    return meter !== undefined && isEventStream(head)
      ? await relayStream(running, head, payment, meter, references)
      : await relayWhole(running, head, payment, references)
  } finally {
    clearTimeout(running.deadline)
    clearTimeout(running.patience)
    running.exchange?.abort()
  }
}

/** Owned by one exchange. */
type Running = {
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
  readonly sentMs: number
  firstByteMs: number | null
  /** Takes the chunks of the body; collects them until somebody else wants them. */
  sink: (chunk: Buffer) => void
  readonly collected: BodyCollector
  sizeBytes: number
}

function createRunning(gateway: Gateway, call: Call, sent: SentCall): Running {
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
    sentMs: gateway.nowMs(),
    firstByteMs: null,
    sink: (chunk) => {
      collect(running, chunk)
    },
    collected: createBodyCollector(),
    sizeBytes: 0,
  }
  return running
}

function start(running: Running): void {
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
    headers: call.request.headers,
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

function collect(running: Running, chunk: Buffer): void {
  if (isWithinLimit(running, chunk)) running.collected.append(chunk)
}

/** Ends an answer that is too large. Streams too: one event without an end would fill the memory. */
function isWithinLimit(running: Running, chunk: Buffer): boolean {
  running.sizeBytes += chunk.length
  if (running.sizeBytes <= running.gateway.config.limits.maxResponseBytes) return true
  failAnswer(running)
  return false
}

function failAnswer(running: Running): void {
  running.exchange?.abort()
  running.end({ kind: 'upstream-failed', failure: 'answer-malformed' })
}

async function relayWhole(
  running: Running,
  head: Head,
  payment: AdmittedPayment,
  references: ReferenceRecorder | undefined,
): Promise<ExchangeRecord> {
  const isUsable = head.status === 200
  // Settlement is awaited while the body arrives.
  const released = isUsable ? payment.release() : undefined
  const ending = await running.ended
  // The reservation is ended only after its release has been decided.
  await released
  if (ending.kind !== 'upstream-ended') return recordUnanswered(running, ending, head)
  const body = running.collected.bytes()
  const { chosen, request } = running.sent
  const expected = { meter: chosen.meter, form: request.route.answer }
  const judged = judgeWholeAnswer(head.status, head.headers, body, expected)
  const common = {
    ...commonRecord(running, head, recordBody(body, running.gateway.config.receipts.enabled)),
    state: judged.state,
    error: judged.error,
    observation: judged.observation,
    observedBody: body,
  }
  if (judged.code !== undefined)
    return { ...common, answer: createErrorAnswer(running.call, judged.code) }
  const release = await releaseOr(running, released)
  if (release === 'gone') return { ...common, ...abortedByClient, answer: { kind: 'gone' } }
  const headers = { ...identityHeaders(head.headers), ...release.headers }
  if (judged.state === 'complete') references?.inBody(body)
  return {
    ...common,
    answer: { kind: 'whole', status: head.status, headers, body, transform: 'identity' },
  }
}

async function relayStream(
  running: Running,
  head: Head,
  payment: AdmittedPayment,
  meter: MeterWire,
  references: ReferenceRecorder | undefined,
): Promise<ExchangeRecord> {
  // Events of a compressed stream cannot be metered or chained: refused, though identity was asked for.
  if (isCoded(head.headers)) {
    return recordUnanswered(running, { kind: 'upstream-failed', failure: 'answer-malformed' }, head)
  }
  const release = await releaseOr(running, payment.release())
  if (release === 'gone') return recordUnanswered(running, { kind: 'caller-gone' }, head)
  const headers = { ...identityHeaders(head.headers), ...release.headers }
  const hasReceipts = running.gateway.config.receipts.enabled
  const recorder = createStreamRecorder(hasReceipts, meter, references?.inEvent)
  const kept = createKeeper(running)
  const cutter = running.sent.forwarded.addsUsage ? createUsageCutter(recorder.observe) : undefined
  beginStream(running.gateway, running.call, headers)
  const relay = (bytes: Buffer): void => {
    if (bytes.length === 0) return
    recorder.push(bytes)
    kept?.push(bytes)
    writeChunk(running, bytes)
    // Line ends alone are events too: 64 MB of them would keep the process busy for minutes.
    if (recorder.events() > maxEvents) failAnswer(running)
  }
  const batch = createChunkBatch((bytes) => {
    relay(cutter?.push(bytes) ?? bytes)
  })
  running.sink = (chunk) => {
    if (isWithinLimit(running, chunk)) batch.push(chunk)
  }
  running.exchange?.resume()
  const ending = await running.ended
  running.sink = ignore
  // What arrived with the end goes out before it; to a caller who has left nothing goes.
  if (ending.kind === 'caller-gone') batch.drop()
  else {
    batch.flush()
    if (cutter !== undefined) relay(cutter.flush())
  }
  const ended = { recorder, cut: cutter?.end(), kept: kept?.body() }
  return recordStream(running, head, ending, ended, headers)
}

/**
 * A slow caller pauses the upstream: nothing piles up here. One who takes nothing for as long as an upstream may be
 * silent has left: a paused upstream is a connection that others wait for.
 */
function writeChunk(running: Running, chunk: Buffer): void {
  const { gateway, call, exchange } = running
  if (call.response.write(chunk) || running.patience !== undefined) return
  exchange?.pause()
  running.patience = setTimeout(() => {
    running.end({ kind: 'caller-gone' })
  }, gateway.config.limits.idleTimeoutMs)
  call.response.once('drain', () => {
    clearTimeout(running.patience)
    running.patience = undefined
    exchange?.resume()
  })
}

type EndedStream = {
  readonly recorder: StreamRecorder
  readonly cut: CutStream | undefined
  readonly kept: Buffer | undefined
}

function recordStream(
  running: Running,
  head: Head,
  ending: Ending,
  { recorder, cut, kept }: EndedStream,
  headers: Readonly<Record<string, string>>,
): ExchangeRecord {
  const { body, chain, digests, observation } = recorder.end()
  const { state, error } = judgeStreamEnd(ending, observation.isTerminated, observation.hasError)
  return {
    ...commonRecord(running, head, cut?.upstreamBody ?? body),
    state,
    error,
    observation,
    observedBody: kept,
    stream: { chain, digests },
    answer: {
      kind: 'streamed',
      status: head.status,
      headers,
      cut: cut && { body, removed: cut.removed },
      endsCleanly: ending.kind === 'upstream-ended' && observation.isTerminated,
      kept: state === 'complete' ? kept : undefined,
    },
  }
}

/** The record of an exchange of which nothing was returned to the caller. */
function recordUnanswered(running: Running, ending: Ending, head?: Head): ExchangeRecord {
  const body = head === undefined ? emptyBody : recordBody(running.collected.bytes())
  const common = {
    ...commonRecord(running, head, body),
    observation: noObservation,
    observedBody: Buffer.alloc(0),
  }
  switch (ending.kind) {
    case 'caller-gone':
      return { ...common, ...abortedByClient, answer: { kind: 'gone' } }
    case 'out-of-time':
      return {
        ...common,
        state: 'timeout',
        error: ending.error,
        answer: createErrorAnswer(running.call, 'upstream-timeout'),
      }
    case 'upstream-failed':
      return {
        ...common,
        ...failedState(ending.failure),
        answer: createErrorAnswer(running.call, failureCodes[ending.failure]),
      }
    case 'upstream-ended':
      return {
        ...common,
        ...failedState('answer-malformed'),
        answer: createErrorAnswer(running.call, 'upstream-failed'),
      }
  }
}

function commonRecord(
  running: Running,
  head: Head | undefined,
  upstreamBody: BodyRecord,
): Omit<ExchangeRecord, 'state' | 'error' | 'observation' | 'observedBody' | 'answer'> {
  const id = head?.headers['x-request-id'] ?? head?.headers['request-id']
  const requestId = typeof id === 'string' ? id.slice(0, 256) : null
  return {
    upstreamStatus: head?.status ?? null,
    upstreamBody,
    requestId,
    stream: undefined,
    sentMs: running.sentMs,
    firstByteMs: running.firstByteMs,
    endedMs: running.gateway.nowMs(),
    upstreamClaim: describeUpstreamClaim(
      running.sent.chosen.route.upstream,
      requestId,
      running.exchange?.tls(),
    ),
  }
}

/** Waits for the payment; a caller who leaves meanwhile ends the wait. */
async function releaseOr(
  running: Running,
  released: Promise<Release> | undefined,
): Promise<{ readonly headers: Readonly<Record<string, string>> } | 'gone'> {
  const release = await released
  if (release === undefined) return { headers: {} }
  if (release.kind === 'refused') throw new CallRefused(release.refusal)
  return running.call.isGone() ? 'gone' : release
}

/** What is kept of a stream: for the caller who asks again, and for an estimate of what it used. */
function createKeeper({ gateway, sent }: Running): BodyKeeper | undefined {
  if (sent.bill.authorisation !== undefined) return createBodyKeeper(maxEstimatedBytes)
  return gateway.config.payment === 'none' ? undefined : createBodyKeeper(maxKeptAnswerBytes)
}

function ignore(): void {
  // The exchange is over: what still arrives was not returned and is not recorded.
}
