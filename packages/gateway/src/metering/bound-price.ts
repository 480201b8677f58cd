/** What a call can cost at most: before it is made, and at each moment of its answer (spec/metering.md ME8, ME9). */
import type { EstimateRule } from './estimate-rule.ts'
import type { RequestMeasure } from './measure-request.ts'
import { computePrice, divideUp, highestRate, rateUnit, type PriceSheet } from './price-sheet.ts'
import { inputKinds, usageKinds, type UsageKind } from '@countersign/protocol/receipt/usage-kinds'
import { outputKinds, totalInput, type Observation, type UsageCounts } from './usage.ts'

/** Bounds of one model. */
export type ModelLimits = {
  /** Most tokens of one prompt. */
  readonly contextTokens: number
  /** Most tokens of one answer, where a call sets no limit of its own. */
  readonly maxOutputTokens: number
  readonly tokensPerAttachment: number
  /** Uses of the provider's own tools that are reserved for. An allowance, no bound: a request cannot limit them all. */
  readonly maxServerToolCalls: number
  readonly maxChargeAtomic: bigint | undefined
  /** Whether the model may write tokens that its stream does not show. */
  readonly hidesReasoning: boolean
  /** How its tokens are estimated where its provider did not count them. */
  readonly estimate: EstimateRule
}

/** Most that a request can use. */
export type UsageBound = {
  readonly input: number
  readonly output: bigint
  readonly inputKinds: readonly UsageKind[]
  readonly toolCalls: number
  /** One for each answer. */
  readonly images: number
  readonly audioSeconds: number
}

/** Turns, roles and the hidden instructions with which providers introduce tools: a few hundred tokens at most. */
const hiddenPromptTokens = 2048
// The sparest codec for speech in use writes 4 kbit/s.
const leastAudioBytesPerSecond = 500
const toolKinds: readonly UsageKind[] = [
  'web-search',
  'web-fetch',
  'file-search',
  'code-session',
  'server-tool',
  'source',
]
const textInputKinds: readonly UsageKind[] = ['input', 'cache-read', 'cache-write-5m']

/** The bound of a request (ME8.2). */
export function boundUsage(measure: RequestMeasure, limits: ModelLimits): UsageBound {
  const { bodyBytes, attachments, maxOutputTokens, choices, isOpenEnded, hasCacheControl } = measure
  const { contextTokens } = limits
  const spelled = bodyBytes + hiddenPromptTokens + attachments * limits.tokensPerAttachment
  const outputLimit = Math.max(contextTokens, limits.maxOutputTokens)
  const output =
    maxOutputTokens === undefined ? limits.maxOutputTokens : Math.min(maxOutputTokens, outputLimit)
  const isText = attachments === 0 && !isOpenEnded
  const textKinds = hasCacheControl
    ? [...textInputKinds, 'cache-write-1h' as const]
    : textInputKinds
  return {
    input: isOpenEnded ? contextTokens : Math.min(contextTokens, spelled),
    output: BigInt(output) * BigInt(choices),
    inputKinds: isText ? textKinds : inputKinds,
    toolCalls: isOpenEnded ? limits.maxServerToolCalls : 0,
    images: choices,
    audioSeconds: attachments > 0 ? Math.ceil(bodyBytes / leastAudioBytesPerSecond) : 0,
  }
}

/** The price to authorise for a request: its bound at the highest rates that can apply (ME8.1). */
export function computeMaximum(sheet: PriceSheet, bound: UsageBound, limits: ModelLimits): bigint {
  const rate = (kinds: readonly UsageKind[]): bigint => highestRate(sheet, kinds, bound.input)
  const numerator =
    BigInt(bound.input) * rate(bound.inputKinds) +
    bound.output * rate(outputKinds) +
    BigInt(bound.toolCalls) * rate(toolKinds) +
    BigInt(bound.images) * rate(['image']) +
    BigInt(bound.audioSeconds) * rate(['audio-second'])
  const price = sheet.perCallAtomic + divideUp(numerator, rateUnit)
  const { maxChargeAtomic } = limits
  return maxChargeAtomic !== undefined && price > maxChargeAtomic ? maxChargeAtomic : price
}

/** What is authorised for one call, with all that its bounds rest on. */
export type Authorisation = {
  readonly sheet: PriceSheet
  readonly limits: ModelLimits
  readonly bound: UsageBound
  readonly maximumAtomic: bigint
}

/**
 * The most that a call costs if it ends now (ME9.2): never less than what will be charged for it, never more than was
 * authorised. Costs some bigint arithmetic, no parsing: usable at each chunk.
 */
export function boundCharge(
  { sheet, limits, bound, maximumAtomic }: Authorisation,
  observation: Observation,
  seenBytes: number,
): bigint {
  const { usage, isTerminated } = observation
  if (usage.kind === 'exact') return lesser(computePrice(sheet, usage.counts), maximumAtomic)
  const known = usage.kind === 'none' ? usage.counts : withoutOutput(usage.counts)
  const reach = Math.max(bound.input, totalInput(known))
  const unknownInput = usage.kind === 'none' ? bound.input : 0
  const hidden = isTerminated && limits.hidesReasoning ? bound.output : 0n
  let numerator =
    BigInt(unknownInput) * highestRate(sheet, bound.inputKinds, reach) +
    larger(hidden, BigInt(seenBytes)) * highestRate(sheet, outputKinds, reach)
  const counted = { ...known, ...uncountedSeconds({ sheet, bound }, known) }
  for (const kind of usageKinds) {
    const count = counted[kind] ?? 0
    if (count > 0) numerator += BigInt(count) * highestRate(sheet, [kind], reach)
  }
  return lesser(sheet.perCallAtomic + divideUp(numerator, rateUnit), maximumAtomic)
}

/** Sound whose seconds nobody counted (plain text, subtitles) is charged by its bound, where seconds have a price. */
export function uncountedSeconds(
  { sheet, bound }: Pick<Authorisation, 'sheet' | 'bound'>,
  known: UsageCounts,
): UsageCounts {
  const isPriced = highestRate(sheet, ['audio-second'], 0) > 0n
  if (!isPriced || known['audio-second'] !== undefined || bound.audioSeconds === 0) return {}
  return { 'audio-second': bound.audioSeconds }
}

/** Counts of all but what came out. */
export function withoutOutput(counts: UsageCounts): UsageCounts {
  const kept: Partial<Record<UsageKind, number>> = { ...counts }
  for (const kind of outputKinds) delete kept[kind]
  return kept
}

function lesser(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
