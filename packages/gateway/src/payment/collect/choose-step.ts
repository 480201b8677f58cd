/** Which step of collecting is due (spec/payment.md PA31.2, PA31.4). */
import type { CollectPlace, CollectStep } from './collect-place.ts'

/** What an operator asks for. */
export type CollectPolicy = {
  /** No transaction moves less, unless it has waited for `maxWaitMs`. */
  readonly minAtomic: bigint
  readonly minIntervalMs: number
  /** `undefined`: what is less waits for more. */
  readonly maxWaitMs: number | undefined
  readonly maxGasPerDay: bigint
  readonly maxGasPriceWei: bigint
}

/** What is remembered of a step of one payTo while the process lives. Owned by the collector. */
export type StepMemory = { nextAtMs: number; refusals: number }

/** Of one payTo. */
export type PlaceMemory = Readonly<Record<CollectStep, StepMemory>>

/** Steps that nothing is known of. */
export function createPlaceMemory(): PlaceMemory {
  return { settle: { nextAtMs: 0, refusals: 0 }, forward: { nextAtMs: 0, refusals: 0 } }
}

/**
 * The step to be sent now. What lies in the contract goes first, so that one forward brings on both.
 *
 * @param sinceMs since when something lies there, where that is known.
 */
export function chooseStep(
  { inContractAtomic, heldAtomic, canForward }: CollectPlace,
  { settle, forward }: PlaceMemory,
  { minAtomic, maxWaitMs }: CollectPolicy,
  { sinceMs, nowMs }: { readonly sinceMs: number | undefined; readonly nowMs: number },
): CollectStep | undefined {
  const isLate = maxWaitMs !== undefined && sinceMs !== undefined && nowMs - sinceMs >= maxWaitMs
  const leastAtomic = isLate ? 1n : minAtomic
  const isHeld = canForward && heldAtomic >= leastAtomic
  // What its owner cannot be paid would only lie in another place.
  const isBlocked = isHeld && forward.refusals > 0
  if (inContractAtomic >= leastAtomic && !isBlocked && nowMs >= settle.nextAtMs) return 'settle'
  return isHeld && nowMs >= forward.nextAtMs ? 'forward' : undefined
}

const longestBackOffMs = 6 * 3_600_000
const shortestBackOffMs = 1000
const shortestPaidBackOffMs = 60_000

/** How long a refused step waits: the interval, doubled by each refusal. `tookGas`: it stood in a block. */
export function backOffMs(minIntervalMs: number, refusals: number, tookGas: boolean): number {
  const first = Math.max(minIntervalMs, tookGas ? shortestPaidBackOffMs : shortestBackOffMs)
  const doubled = first * 2 ** Math.min(refusals - 1, 30)
  return Math.min(doubled, Math.max(longestBackOffMs, first))
}
