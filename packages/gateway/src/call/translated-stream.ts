/** A stream on its way through a translation: what leaves is hashed and chained as it is written. */
import type { StreamOutcome } from '../translation/translate-answer.ts'
import { isRepeatable, maxKeptAnswerBytes } from './answer-cache.ts'
import { createBodyKeeper } from './body-collector.ts'
import { abortedByClient, type Ending, type Outcome } from './ending.ts'
import { createReturnedRecorder, type BodyRecord, type ExchangeRecord } from './exchange.ts'
import { failAnswer, outgrow, type Running } from './running-exchange.ts'
import type { AnswerTranslation } from './answer-translation.ts'

/** What a translated stream returned. */
export type ReturnedStream = {
  readonly outcome: StreamOutcome
  readonly body: BodyRecord
  readonly stream: NonNullable<ExchangeRecord['stream']>
  readonly kept: Buffer | undefined
  /** The upstream's own bytes, for a replay. */
  readonly upstream: Buffer | undefined
}

/** Longer answers cannot be replayed. */
const maxReplayBytes = 8_388_608

/** Owner of one such stream. */
export type TranslatedStream = {
  push(bytes: Buffer): void
  /** Resolves when all that can be written is written. */
  end(ending: Ending): Promise<ReturnedStream>
}

/** Begins one. `write` hands bytes to the transport. */
export function createTranslatedStream(
  running: Running,
  translation: Pick<AnswerTranslation, 'stream'>,
  maxEvents: number,
  write: (bytes: Buffer) => void,
): TranslatedStream {
  const { gateway, call } = running
  const recorder = createReturnedRecorder(gateway.config.receipts.enabled)
  const isKept = isRepeatable(gateway.config.payment, call.request)
  const kept = isKept ? createBodyKeeper(maxKeptAnswerBytes) : undefined
  const upstream =
    gateway.upstreamAnswers === undefined ? undefined : createBodyKeeper(maxReplayBytes)
  let isClosed = false
  let hasFailed = false
  const translator = translation.stream((bytes) => {
    if (isClosed || running.hasLeft || call.isGone()) return false
    recorder.push(bytes)
    kept?.push(bytes)
    write(bytes)
    if (recorder.events() > maxEvents) outgrow(running)
    return true
  })
  // The provider is not asked for what nobody can be given. It never rejects.
  void whenFailed(translator.outcome, () => {
    hasFailed = true
    failAnswer(running)
  })
  return {
    push: (bytes) => {
      upstream?.push(bytes)
      // Who has left is told nothing more, whether the upstream is read on or not.
      if (!running.hasLeft) translator.push(bytes)
    },
    end: async ({ kind }) => {
      isClosed = kind === 'caller-gone'
      const isCut = (kind !== 'upstream-ended' || running.hasLeft) && !hasFailed
      const said = await translator.end()
      // What a cut leaves half said is no fault of the answer: the cut decides.
      const outcome: StreamOutcome = isCut && said.kind === 'failed' ? { kind: 'unsaid' } : said
      return { outcome, ...recorder.end(), kept: kept?.body(), upstream: upstream?.body() }
    },
  }
}

async function whenFailed(outcome: Promise<StreamOutcome>, act: () => void): Promise<void> {
  const { kind } = await outcome
  if (kind === 'failed') act()
}

/** The outcome of the call, after that of its translation. */
export function judgeTranslated(
  { outcome }: ReturnedStream,
  { kind }: Ending,
  judged: Outcome,
): Outcome {
  if (outcome.kind === 'failed')
    return { state: 'upstream-error', error: 'answer-not-translatable' }
  if (outcome.kind === 'finished' || judged.state !== 'complete') return judged
  // The provider has said its last word, and the caller has not had it.
  if (kind === 'caller-gone') return abortedByClient
  return { state: 'upstream-error', error: 'stream-incomplete' }
}
