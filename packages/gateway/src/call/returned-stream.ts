/** A stream that is returned with more than the upstream sent: what leaves is hashed and chained as it is written. */
import type { MeterWire } from '../metering/observe-usage.ts'
import {
  createSignedStream,
  openGradientTransform,
  type AnswerSigning,
} from '../profiles/open-gradient-answer.ts'
import { maxKeptAnswerBytes } from './answer-cache.ts'
import { createBodyKeeper } from './body-collector.ts'
import { createStreamRecorder, type BodyRecord, type ExchangeRecord } from './exchange.ts'

/** Owner of one such stream. */
export type ReturnedStream = {
  /** Takes the upstream's bytes, gives those to be written; perhaps none yet. */
  push(bytes: Buffer): Buffer
  /** The upstream has ended: what is left to be written. */
  end(): Buffer
  /** What was written. */
  record(): ReturnedRecord
}

/** What was returned, by what a receipt says of it. */
export type ReturnedRecord = {
  readonly transform: string
  readonly body: BodyRecord
  readonly stream: NonNullable<ExchangeRecord['stream']>
  readonly kept: Buffer | undefined
}

/** A stream that gets OpenGradient's last event. */
export function createReturnedStream(
  signing: AnswerSigning,
  meter: MeterWire,
  options: { readonly hasReceipts: boolean; readonly isKept: boolean },
): ReturnedStream {
  const recorder = createStreamRecorder(options.hasReceipts, meter)
  const kept = options.isKept ? createBodyKeeper(maxKeptAnswerBytes) : undefined
  const stream = createSignedStream(signing)
  const take = (bytes: Buffer): Buffer => {
    if (bytes.length === 0) return bytes
    recorder.push(bytes)
    kept?.push(bytes)
    return bytes
  }
  return {
    push: (bytes) => take(Buffer.concat(stream.push(bytes))),
    end: () => take(stream.end()),
    record: () => {
      const { body, chain, digests } = recorder.end()
      const transform = openGradientTransform
      return { transform, body, stream: { chain, digests }, kept: kept?.body() }
    },
  }
}
