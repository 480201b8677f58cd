/** What is believed only when the chain says it again and again: that a charge can never be settled (spec/payment.md PA17.5). */

/** Since when the chain says so. */
export type Doubt = {
  readonly verdict: 'otherwise' | 'expired'
  readonly sinceBlock: bigint
  readonly sinceMs: number
  /** When it is asked next. */
  readonly againAtMs: number
}

/** For how long, and over how many blocks, it has to say so. */
export type Certainty = { readonly blocks: bigint; readonly ms: number }

/** What is doubted, by the key of the payment, and how long it has to hold. */
export type Doubts = {
  readonly doubts: Map<string, Doubt>
  readonly certainty?: Certainty
  readonly clock: () => number
}

/** Nodes behind one address do not agree on the newest block: who is behind has not seen yet what others have. */
const usual: Certainty = { blocks: 16n, ms: 60_000 }
/** A search for the event of a settlement is up to twenty reads. */
const askAgainMs = 5000

/** Notes that the chain says so of this block. True when it has done so for long enough, and never said otherwise since. */
export function isCertain(
  { doubts, clock, certainty = usual }: Doubts,
  key: string,
  verdict: Doubt['verdict'],
  headNumber: bigint,
): boolean {
  const nowMs = clock()
  const known = doubts.get(key)
  const isSame = known?.verdict === verdict && known.sinceBlock <= headNumber
  const since = isSame ? known : { sinceBlock: headNumber, sinceMs: nowMs }
  const isOver =
    headNumber - since.sinceBlock >= certainty.blocks && nowMs - since.sinceMs >= certainty.ms
  if (isOver) doubts.delete(key)
  else doubts.set(key, { ...since, verdict, againAtMs: nowMs + askAgainMs })
  return isOver
}

/** Whether it is too early to look again; a clock that went back waits for nothing. */
export function isWaiting(
  { doubts, clock }: Pick<Doubts, 'doubts' | 'clock'>,
  key: string,
): boolean {
  const doubt = doubts.get(key)
  if (doubt === undefined) return false
  const nowMs = clock()
  return nowMs >= doubt.sinceMs && nowMs < doubt.againAtMs
}
