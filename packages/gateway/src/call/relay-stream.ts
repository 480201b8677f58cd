/** Relays a stream as it arrives: nothing leaves before the payment is released, nothing is held back after. */
import type { MeterWire } from '../metering/observe-usage.ts'
import type { AdmittedPayment } from '../payment/admission.ts'
import type { ReferenceRecorder } from '../references/record-references.ts'
import { maxKeptAnswerBytes } from './answer-cache.ts'
import { maxEstimatedBytes } from './bill.ts'
import { createBodyKeeper, type BodyKeeper } from './body-collector.ts'
import { createChunkBatch } from './chunk-batch.ts'
import { beginStream, identityHeaders } from './deliver.ts'
import { judgeStreamEnd, type Ending } from './ending.ts'
import { createStreamRecorder, type ExchangeRecord, type StreamRecorder } from './exchange.ts'
import { isCoded } from './judge-answer.ts'
import { commonRecord, recordUnanswered } from './record-exchange.ts'
import { releaseOr } from './release-payment.ts'
import { failAnswer, isWithinLimit, type Head, type Running } from './running-exchange.ts'
import {
  createTranslatedStream,
  judgeTranslated,
  type ReturnedStream,
} from './translated-stream.ts'

/** Most events of a stream. */
const maxEvents = 1_000_000

/** Relays the stream to its end, or to that of its caller. */
export async function relayStream(
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
  beginStream(running.gateway, running.call, headers)
  const write = (bytes: Buffer): void => {
    writeChunk(running, bytes)
  }
  const { translation } = running.sent.forwarded
  const translated = translation && createTranslatedStream(running, translation, maxEvents, write)
  const batch = createChunkBatch((bytes) => {
    recorder.push(bytes)
    kept?.push(bytes)
    if (translated === undefined) write(bytes)
    else translated.push(bytes)
    // Line ends alone are events too: 64 MB of them would keep the process busy for minutes.
    if (recorder.events() > maxEvents) failAnswer(running)
  })
  running.sink = (chunk) => {
    if (isWithinLimit(running, chunk)) batch.push(chunk)
  }
  running.exchange?.resume()
  const ending = await running.ended
  running.sink = ignore
  // What arrived with the end goes out before it; to a caller who has left nothing goes.
  if (ending.kind === 'caller-gone') batch.drop()
  else batch.flush()
  const record = recordStream(running, head, ending, recorder, headers, kept?.body())
  return translated === undefined
    ? record
    : recordTranslated(running, ending, record, await translated.end(ending))
}

/** What was returned is another stream than the one that the upstream sent. */
function recordTranslated(
  { sent }: Running,
  ending: Ending,
  record: ExchangeRecord,
  returned: ReturnedStream,
): ExchangeRecord {
  const { answer } = record
  const judged = judgeTranslated(returned, ending, record)
  if (answer.kind !== 'streamed') return record
  return {
    ...record,
    ...judged,
    stream: returned.stream,
    replayBody: record.observedBody,
    answer: {
      ...answer,
      endsCleanly: answer.endsCleanly && returned.outcome.kind === 'finished',
      kept: judged.state === 'complete' ? returned.kept : undefined,
      translated: { transform: sent.forwarded.transform, body: returned.body },
    },
  }
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

function recordStream(
  running: Running,
  head: Head,
  ending: Ending,
  recorder: StreamRecorder,
  headers: Readonly<Record<string, string>>,
  kept: Buffer | undefined,
): ExchangeRecord {
  const { body, chain, digests, observation } = recorder.end()
  const { state, error } = judgeStreamEnd(ending, observation.isTerminated, observation.hasError)
  return {
    ...commonRecord(running, head, body),
    state,
    error,
    observation,
    observedBody: kept,
    stream: { chain, digests },
    answer: {
      kind: 'streamed',
      status: head.status,
      headers,
      endsCleanly: ending.kind === 'upstream-ended' && observation.isTerminated,
      kept: state === 'complete' ? kept : undefined,
    },
  }
}

/** What is kept of a stream: for the caller who asks again, and for an estimate of what it used. */
function createKeeper({ gateway, sent }: Running): BodyKeeper | undefined {
  const isObserved = sent.bill.authorisation !== undefined
  if (isObserved || sent.forwarded.translation !== undefined) {
    return createBodyKeeper(maxEstimatedBytes)
  }
  return gateway.config.payment === 'none' ? undefined : createBodyKeeper(maxKeptAnswerBytes)
}

function ignore(): void {
  // The exchange is over: what still arrives was not returned and is not recorded.
}
