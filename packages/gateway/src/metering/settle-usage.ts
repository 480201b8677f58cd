/** From what was seen of an answer to what is charged for it (spec/metering.md ME6, ME9). */
import { uncountedSeconds, withoutOutput, type Authorisation } from './bound-price.ts'
import { computeCharge, highestRate, isMetered, type CappedCharge } from './price-sheet.ts'
import { totalInput, type Observation, type UsageCounts } from './usage.ts'

/** Bounds on the tokens of a call whose provider did not count them. */
export type UsageEstimate = {
  /** Tokens that went in, at most. */
  readonly input: number
  /** Tokens of what was sent to the caller, at most. */
  readonly output: number
  /** What they are, where they are no text. */
  readonly outputKind?: 'output-audio'
}

/**
 * What a call is metered at. `provider`: by the provider's own figures. `estimated`: where those are missing, by
 * bounds. `none`: the provider failed without a figure, or nothing is metered.
 */
export type MeteredUsage = {
  readonly source: 'provider' | 'estimated' | 'none'
  readonly counts: UsageCounts
}

/** Whether an estimate is needed before this call can be settled. */
export function needsEstimate({ sheet }: Authorisation, observation: Observation): boolean {
  if (observation.usage.kind === 'exact' || !isMetered(sheet)) return false
  return !isBilledByImage({ sheet }, observation) && !isFailure(observation)
}

/**
 * Meters a call. The estimate is used only where the provider's figures are missing, and never beyond what the request
 * was bound to.
 */
export function meterUsage(
  authorisation: Authorisation,
  observation: Observation,
  estimate: UsageEstimate | undefined,
): MeteredUsage {
  const { usage } = observation
  if (usage.kind === 'exact') return { source: 'provider', counts: usage.counts }
  if (isBilledByImage(authorisation, observation)) {
    return { source: 'provider', counts: usage.counts }
  }
  if (!needsEstimate(authorisation, observation)) return { source: 'none', counts: {} }
  const known = usage.kind === 'none' ? usage.counts : withoutOutput(usage.counts)
  const input = Math.min(estimate?.input ?? Infinity, authorisation.bound.input)
  const output = estimateOutput(authorisation, observation, estimate)
  return {
    source: 'estimated',
    counts: {
      ...known,
      ...(totalInput(known) === 0 ? { input } : {}),
      ...uncountedSeconds(authorisation, known),
      [estimate?.outputKind ?? 'output']: output,
    },
  }
}

/** The charge of a metered call: the price of its use, at most what was authorised (ME6.2). */
export function chargeUsage(
  { sheet, maximumAtomic }: Authorisation,
  metered: MeteredUsage,
): CappedCharge {
  if (metered.source === 'none' && isMetered(sheet)) return { amountAtomic: 0n, isCapped: false }
  return computeCharge(sheet, metered.counts, maximumAtomic)
}

// A count in a claim is a whole number below 2^53.
const maxEstimate = 2 ** 46

/** Who forbids the usage figure of a reasoning model must not thereby get the reasoning for nothing (ME9.4). */
function estimateOutput(
  { limits, bound }: Authorisation,
  { isTerminated }: Observation,
  estimate: UsageEstimate | undefined,
): number {
  const most = Math.min(Number(bound.output), maxEstimate)
  if (estimate === undefined || (isTerminated && limits.hidesReasoning)) return most
  return Math.min(estimate.output, most)
}

/** A failure without a figure costs nothing: no provider bills one. */
function isFailure({ hasError, usage }: Observation): boolean {
  return hasError && usage.kind === 'none'
}

/** Older image models count no tokens; they are billed by the image, where the sheet says so. */
function isBilledByImage(
  { sheet }: Pick<Authorisation, 'sheet'>,
  { usage, isTerminated }: Observation,
): boolean {
  return (
    usage.kind === 'none' &&
    isTerminated &&
    (usage.counts.image ?? 0) > 0 &&
    highestRate(sheet, ['image'], 0) > 0n
  )
}
