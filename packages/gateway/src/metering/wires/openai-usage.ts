/** Usage objects of the OpenAI wires, and of xAI, which took over their form (spec/metering.md ME4). */
import type { Figures, Found } from '../found.ts'
import { countTools } from '../found.ts'
import { countAt, isObject, type JsonObject } from '../read-json.ts'
import type { UsageKind } from '@countersign/protocol/receipt/usage-kinds'
import {
  addShare,
  checkMembers,
  checkTotal,
  createShares,
  divide,
  divideInput,
  toCounts,
  type Shares,
} from './shares.ts'

/** What differs between the wires that share the form. */
export type OpenAiRules = {
  /** xAI's chat wire leaves reasoning out of `completion_tokens`; all others count it in. */
  readonly reasoning: 'inside' | 'outside'
  /** What output tokens are when no detail says so. */
  readonly plainOutput: UsageKind
}

const inputNames = ['prompt_tokens', 'input_tokens'] as const
const outputNames = ['completion_tokens', 'output_tokens'] as const
const inputDetails = ['prompt_tokens_details', 'input_tokens_details', 'input_token_details']
const outputDetails = ['completion_tokens_details', 'output_tokens_details', 'output_token_details']
const usageMembers: ReadonlySet<string> = new Set([
  ...inputNames,
  ...outputNames,
  'total_tokens',
  'num_sources_used',
  'num_server_side_tools_used',
  'cost_in_usd_ticks',
  'seconds',
])
const detailMembers: ReadonlySet<string> = new Set([
  'cached_tokens',
  'cache_write_tokens',
  'text_tokens',
  'audio_tokens',
  'image_tokens',
  'reasoning_tokens',
  'accepted_prediction_tokens',
  'rejected_prediction_tokens',
])

/** The figures of a usage object; `undefined` when it does not count the input. */
export function readOpenAiUsage(
  usage: JsonObject,
  found: Found,
  rules: OpenAiRules,
): Figures | undefined {
  const seconds = readSeconds(usage)
  const input = firstCount(usage, inputNames) ?? (seconds === undefined ? undefined : 0)
  if (input === undefined) return undefined
  const shares = createShares()
  if (seconds !== undefined) addShare(shares, 'audio-second', seconds)
  addInput(shares, input, firstObject(usage, inputDetails))
  const counted = addOutput(shares, usage, rules)
  checkTotal(shares, countAt(usage, 'total_tokens'), input + counted)
  checkMembers(shares, usage, usageMembers)
  addShare(shares, 'source', countAt(usage, 'num_sources_used') ?? 0)
  addShare(shares, 'server-tool', countAt(usage, 'num_server_side_tools_used') ?? 0)
  const { counts, notes } = toCounts(shares)
  return {
    counts: { ...counts, ...countTools(found) },
    notes,
    providerTicks: countAt(usage, 'cost_in_usd_ticks') ?? null,
  }
}

function addInput(shares: Shares, whole: number, details: JsonObject): void {
  checkMembers(shares, details, detailMembers)
  divideInput(shares, whole, {
    cached: countAt(details, 'cached_tokens') ?? 0,
    written: countAt(details, 'cache_write_tokens') ?? 0,
    audio: countAt(details, 'audio_tokens') ?? 0,
    image: countAt(details, 'image_tokens') ?? 0,
    video: 0,
  })
}

/** Gives all tokens that came out. */
function addOutput(shares: Shares, usage: JsonObject, rules: OpenAiRules): number {
  const details = firstObject(usage, outputDetails)
  checkMembers(shares, details, detailMembers)
  const stated = firstCount(usage, outputNames) ?? 0
  const reasoning = countAt(details, 'reasoning_tokens') ?? 0
  const whole = rules.reasoning === 'outside' ? stated + reasoning : stated
  const text = countAt(details, 'text_tokens')
  const parts: (readonly [UsageKind, number])[] = [
    ['reasoning', reasoning],
    ['output-audio', countAt(details, 'audio_tokens') ?? 0],
    ['output-image', countAt(details, 'image_tokens') ?? 0],
  ]
  // Where plain output is an image or speech, text is what stands apart.
  if (rules.plainOutput !== 'output' && text !== undefined) parts.push(['output', text])
  divide(shares, whole, parts, rules.plainOutput)
  return whole
}

/** Transcriptions are billed by the second, and begun seconds count. */
function readSeconds(usage: JsonObject): number | undefined {
  const seconds = usage['type'] === 'duration' ? usage['seconds'] : undefined
  const isBelievable = typeof seconds === 'number' && seconds >= 0 && seconds <= 2 ** 40
  return isBelievable ? Math.ceil(seconds) : undefined
}

function firstCount(object: JsonObject, names: readonly string[]): number | undefined {
  for (const name of names) {
    const count = countAt(object, name)
    if (count !== undefined) return count
  }
  return undefined
}

function firstObject(object: JsonObject, names: readonly string[]): JsonObject {
  for (const name of names) {
    const value = object[name]
    if (isObject(value)) return value
  }
  return {}
}
