/** Relays a stream as it arrives: nothing leaves before the payment is released, nothing is held back after. */
import type { MeterWire } from '../metering/observe-usage.ts'
import { chargeUsage, meterUsage } from '../metering/settle-usage.ts'
import type { Observation } from '../metering/usage.ts'
import type { AdmittedPayment } from '../payment/admission.ts'
import { openGradientTransform } from '../profiles/open-gradient-answer.ts'
import { signStream } from '../profiles/sign-answer.ts'
import type { ReferenceRecorder } from '../references/record-references.ts'
import { isRepeatable, maxKeptAnswerBytes } from './answer-cache.ts'
import type { AnswerTranslation } from './answer-translation.ts'
import { maxEstimatedBytes } from './bill.ts'
import { createBodyKeeper, type BodyKeeper } from './body-collector.ts'
import { createChunkBatch, type ChunkBatch } from './chunk-batch.ts'
import { beginStream, identityHeaders } from './deliver.ts'
import { answerIsMalformed, judgeLength, judgeStreamEnd, type Ending } from './ending.ts'
import {
  createStreamRecorder,
  type ExchangeRecord,
  type RemovedBytes,
  type StreamRecorder,
} from './exchange.ts'
import { isCoded } from './judge-answer.ts'
import { createProgressProof } from './prove-progress.ts'
import { commonRecord, recordDrain, recordUnanswered } from './record-exchange.ts'
import { judgeRelease, type Leave } from './release-payment.ts'
import { createUsageCutter, type UsageCutter } from './usage-cutter.ts'
import {
  endDrain,
  isWithinLimit,
  leave,
  outgrow,
  type Head,
  type Running,
} from './running-exchange.ts'
import {
  createTranslatedStream,
  judgeTranslated,
  type ReturnedStream,
  type TranslatedStream,
} from './translated-stream.ts'

const noBytes = Buffer.alloc(0)
/** Most events of a stream. */
const maxEvents = 1_000_000
// The figures of a finished answer come right behind it.
const maxTailMs = 2000

/** Relays the stream to its end, or to that of its caller. */
export async function relayStream(
  running: Running,
  head: Head,
  payment: AdmittedPayment,
  meter: MeterWire,
  references: ReferenceRecorder | undefined,
): Promise<ExchangeRecord> {
  // Events of a compressed stream cannot be metered or chained: refused, though identity was asked for.
  if (isCoded(head.headers) || isUnasked(running)) {
    return recordUnanswered(running, answerIsMalformed, head)
  }
  const release = judgeRelease(running, await payment.release('stream'))
  if (release === 'gone' && running.drain === undefined) {
    return recordUnanswered(running, { kind: 'caller-gone' }, head)
  }
  const headers = joinHeaders(head, release)
  const hasReceipts = running.gateway.config.receipts.enabled
  const recorder = createStreamRecorder(hasReceipts, meter, references?.inEvent)
  const relay = createRelay(running, recorder, headers, {
    hasBegun: release !== 'gone',
    proveProgress: createProgressProof(payment, running.sent.bill, recorder),
    // Whose id it is must be kept before the caller can learn it.
    mayReadLate: references === undefined,
  })
  if (relay.hasBegun) beginStream(running.gateway, running.call, headers, payment.metered !== null)
  else cutRelay(relay)
  running.onLeave = (drainMs) => {
    // What was written counts, whether it was read or not.
    relay.late?.flush()
    const seen = recorder.observation()
    if (seen.isTerminated) return 0
    const readOnMs = drainMs > 0 || !lacksFigures(running, seen) ? drainMs : maxTailMs
    if (readOnMs === 0) return 0
    cutRelay(relay)
    // A slow caller may have paused it.
    running.attempt.exchange?.resume()
    return readOnMs
  }
  const batch = createChunkBatch((bytes) => {
    takeBytes(running, relay, relay.cutter?.push(bytes) ?? bytes)
  }, beforeNextRead)
  running.sink = (chunk) => {
    if (isWithinLimit(running, chunk)) batch.push(chunk)
  }
  running.attempt.exchange?.resume()
  flushHead(running, relay)
  const ended = await running.attempt.ended
  running.sink = ignore
  // What arrived with the end goes out before it; to a caller who has left nothing goes.
  if (ended.kind === 'caller-gone') batch.drop()
  else batch.flush()
  if (ended.kind !== 'caller-gone' || running.drain !== undefined) {
    takeBytes(running, relay, relay.cutter?.flush() ?? noBytes)
  }
  relay.late?.flush()
  // The last events may have been counted just now.
  const ending = judgeLength(ended, recorder.events(), maxEvents)
  const record = recordStream(running, head, ending, relay)
  const { translated } = relay
  return translated === undefined
    ? record
    : recordTranslated(running, ending, record, await translated.end(ending))
}

/**
 * The model has finished, and only its figures are missing (spec/metering.md ME9.8): leaving at this moment must not
 * change what the answer costs.
 */
function lacksFigures({ sent }: Running, { finish, usage }: Observation): boolean {
  // The first of several answers that ends is not the end of all.
  const isOnly = sent.bill.authorisation?.bound.images === 1
  return isOnly && finish !== null && usage.kind !== 'exact'
}

/** What a stream goes through on its way, if anything. */
function findRewriting({ sent }: Running): Pick<AnswerTranslation, 'stream'> | undefined {
  const { forwarded, signing } = sent
  if (forwarded.translation !== undefined || signing === undefined) return forwarded.translation
  return { stream: (write) => signStream(signing, write) }
}

/** A caller of another wire who asked for no stream has no form for one. */
function isUnasked({ sent }: Running): boolean {
  return sent.forwarded.translation?.isStream === false
}

/** Those of the upstream that pass, and those of the payment. */
function joinHeaders({ headers }: Head, release: Leave): Readonly<Record<string, string>> {
  const passed = identityHeaders(headers)
  return release === 'gone' ? passed : { ...passed, ...release.headers }
}

/** What was returned is another stream than the one that the upstream sent. */
function recordTranslated(
  { sent }: Running,
  ending: Ending,
  record: ExchangeRecord,
  returned: ReturnedStream,
): ExchangeRecord {
  const { answer } = record
  if (answer.kind !== 'streamed') return { ...record, replayBody: returned.upstream }
  const judged = judgeTranslated(returned, ending, record)
  return {
    ...record,
    ...judged,
    stream: returned.stream,
    replayBody: sent.signing === undefined ? returned.upstream : undefined,
    answer: {
      ...answer,
      endsCleanly: answer.endsCleanly && returned.outcome.kind === 'finished',
      kept: judged.state === 'complete' ? returned.kept : undefined,
      translated: {
        transform: sent.signing === undefined ? sent.forwarded.transform : openGradientTransform,
        body: returned.body,
      },
    },
  }
}

/** Behind the bytes that came with the head of the upstream: then both are one packet. */
function flushHead(running: Running, { hasBegun }: Relay): void {
  beforeNextRead(() => {
    if (hasBegun && !running.hasWritten && !running.hasLeft) running.call.response.flushHeaders()
  })
}

/** Before the process reads or writes again: nothing is delayed. */
function beforeNextRead(task: () => void): void {
  process.nextTick(task)
}

/** Owned by one relayed stream. */
type Relay = {
  readonly recorder: StreamRecorder
  /** Keeps usage that the caller did not ask for from it. */
  readonly cutter: UsageCutter | undefined
  /** What was returned, as long as it is small. */
  readonly kept: BodyKeeper | undefined
  /** Between the upstream and the caller, where their wires differ. */
  readonly translated: TranslatedStream | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly hasBegun: boolean
  readonly proveProgress: () => void
  /** What was written and is not recorded yet; `undefined` where it is recorded before it is written. */
  readonly late: ChunkBatch | undefined
  /** What had been seen when the caller left. */
  cut: Observation | undefined
}

function createRelay(
  running: Running,
  recorder: StreamRecorder,
  headers: Relay['headers'],
  options: Pick<Relay, 'hasBegun' | 'proveProgress'> & { readonly mayReadLate: boolean },
): Relay {
  const { hasBegun, proveProgress, mayReadLate } = options
  const { addsUsage } = running.sent.forwarded
  const rewriting = findRewriting(running)
  const kept = createKeeper(running)
  return {
    recorder,
    cutter: addsUsage ? createUsageCutter(recorder.observe) : undefined,
    kept,
    proveProgress,
    late:
      mayReadLate && !addsUsage && rewriting === undefined
        ? createChunkBatch((bytes) => {
            recordReturned({ recorder, kept, proveProgress }, bytes)
            boundEvents(running, recorder)
          }, running.gateway.turns.atEnd)
        : undefined,
    translated:
      rewriting &&
      createTranslatedStream(running, rewriting, maxEvents, (bytes) => {
        writeChunk(running, bytes)
      }),
    headers,
    cut: undefined,
    hasBegun,
  }
}

function cutRelay(relay: Relay): void {
  relay.recorder.cut()
  relay.cut = relay.recorder.observation()
}

function takeBytes(running: Running, relay: Relay, bytes: Buffer): void {
  if (bytes.length === 0) return
  const { recorder, translated, late } = relay
  if (running.hasLeft) {
    recordDrained(running, relay, bytes)
  } else if (late === undefined) {
    recordReturned(relay, bytes)
    if (translated === undefined) writeChunk(running, bytes)
    else translated.push(bytes)
  } else {
    // All streams write before any is hashed: whoever waits for bytes does not wait for our records.
    writeChunk(running, bytes)
    late.push(bytes)
  }
  boundEvents(running, recorder)
}

/** Line ends alone are events too: 64 MB of them would keep the process busy for minutes. */
function boundEvents(running: Running, recorder: StreamRecorder): void {
  if (recorder.events() > maxEvents) outgrow(running)
}

function recordReturned(
  { recorder, kept, proveProgress }: Pick<Relay, 'recorder' | 'kept' | 'proveProgress'>,
  bytes: Buffer,
): void {
  recorder.push(bytes)
  kept?.push(bytes)
  proveProgress()
}

function recordDrained(
  running: Running,
  { recorder, translated, proveProgress }: Relay,
  bytes: Buffer,
): void {
  recorder.push(bytes)
  translated?.push(bytes)
  // Beyond what was authorised nothing can be charged: there is nothing left to learn.
  if (isOverMaximum(running, recorder.observation())) endDrain(running, 'maximum')
  proveProgress()
}

function isOverMaximum({ sent }: Running, observation: Observation): boolean {
  const { authorisation } = sent.bill
  if (authorisation === undefined || observation.usage.kind !== 'exact') return false
  return chargeUsage(authorisation, meterUsage(authorisation, observation, undefined)).isCapped
}

/**
 * A slow caller pauses the upstream: nothing piles up here. One who takes nothing for as long as an upstream may be
 * silent has left: a paused upstream is a connection that others wait for.
 */
function writeChunk(running: Running, chunk: Buffer): void {
  const { sent, call, attempt } = running
  running.hasWritten = true
  if (call.response.write(chunk) || running.patience !== undefined) return
  attempt.exchange?.pause()
  running.patience = setTimeout(() => {
    leave(running)
  }, sent.chosen.route.behaviour.idleTimeoutMs)
  call.response.once('drain', () => {
    clearTimeout(running.patience)
    running.patience = undefined
    attempt.exchange?.resume()
  })
}

function recordStream(
  running: Running,
  head: Head,
  ending: Ending,
  { recorder, cutter, kept, headers, cut, hasBegun }: Relay,
): ExchangeRecord {
  const seen = recorder.end()
  const isDrained = running.drain !== undefined && cut !== undefined
  const { isTerminated, hasError } = seen.observation
  const { state, error } = isDrained
    ? judgeStreamEnd({ kind: 'caller-gone' }, cut.isTerminated, cut.hasError)
    : judgeStreamEnd(ending, isTerminated, hasError)
  const body = kept?.body()
  const bodies = recordBodies(seen, cutter, isDrained)
  return {
    ...commonRecord(running, head, bodies.upstreamBody),
    state,
    error,
    returned: bodies.returned,
    drain: recordDrain(running, ending, isTerminated && !hasError),
    observation: isDrained ? observeDrained(seen.observation, cut) : seen.observation,
    observedBody: body,
    stream: hasBegun ? { chain: seen.chain, digests: seen.digests } : undefined,
    answer: hasBegun
      ? {
          kind: 'streamed',
          status: head.status,
          headers,
          removed: bodies.removed,
          endsCleanly: ending.kind === 'upstream-ended' && isTerminated && !isDrained,
          kept: state === 'complete' ? body : undefined,
        }
      : { kind: 'gone' },
  }
}

type Bodies = Pick<ExchangeRecord, 'upstreamBody' | 'returned'> & {
  readonly removed: RemovedBytes | undefined
}

/** What came and what was returned. What stood behind the last byte returned was not kept from it. */
function recordBodies(
  seen: ReturnType<StreamRecorder['end']>,
  cutter: UsageCutter | undefined,
  isDrained: boolean,
): Bodies {
  const returned = isDrained ? seen.returned : seen.body
  const cut = cutter?.end()
  if (cut === undefined) return { upstreamBody: seen.body, returned, removed: undefined }
  const isBehind = isDrained && cut.removed.start >= returned.bytes
  const removed = isBehind ? undefined : cut.removed
  return { upstreamBody: cut.upstreamBody, returned, removed }
}

/** Without the provider's own figure a caller who left pays for what was visible to it, as if nothing had been read on. */
function observeDrained(seen: Observation, cut: Observation): Observation {
  if (seen.usage.kind === 'exact') return seen
  const { usage, isTerminated, hasError } = cut
  return { ...seen, usage, isTerminated, hasError }
}

/** What is kept of a stream: for the caller who asks again, and for an estimate of what it used. */
function createKeeper({ gateway, call, sent }: Running): BodyKeeper | undefined {
  if (sent.bill.authorisation !== undefined) return createBodyKeeper(maxEstimatedBytes)
  const isKept = isRepeatable(gateway.config.payment, call.request)
  return isKept ? createBodyKeeper(maxKeptAnswerBytes) : undefined
}

function ignore(): void {
  // The exchange is over: what still arrives was not returned and is not recorded.
}
