/** Google's interactions wire (spec/metering.md ME4.6). */
import {
  takeError,
  takeFinish,
  takeModel,
  takeTier,
  takeUsage,
  type Figures,
  type Found,
  type WireReader,
} from '../found.ts'
import { countAt, isObject, objectAt, type JsonObject } from '../read-json.ts'
import { modality } from './google.ts'
import {
  addShare,
  checkMembers,
  checkTotal,
  createShares,
  divide,
  divideInput,
  toCounts,
} from './shares.ts'

const usageMembers: ReadonlySet<string> = new Set([
  'total_tokens',
  'total_input_tokens',
  'total_cached_tokens',
  'total_output_tokens',
  'total_tool_use_tokens',
  'total_thought_tokens',
])
const finalStates: ReadonlySet<unknown> = new Set([
  'completed',
  'failed',
  'cancelled',
  'incomplete',
  'requires_action',
])

/** A reader of interactions. */
export function createInteractionsReader(): WireReader {
  return {
    marks: /"interaction"[ \t\n\r:]*\{|"error"/,
    takeEvent(found, json) {
      takeError(found, json['error'])
      takeInteraction(found, objectAt(json, 'interaction'))
    },
    takeBody(found, json) {
      if (!isObject(json)) return
      takeInteraction(found, json)
      found.isTerminated = json['status'] === undefined || found.isTerminated
    },
    toFigures: readUsage,
    sentinel: null,
  }
}

function takeInteraction(found: Found, interaction: JsonObject): void {
  takeModel(found, interaction)
  takeTier(found, interaction)
  takeError(found, interaction['error'])
  takeUsage(found, interaction['usage'], true)
  if (!finalStates.has(interaction['status'])) return
  takeFinish(found, interaction, 'status')
  found.isTerminated = true
}

function readUsage(usage: JsonObject): Figures | undefined {
  const whole = countAt(usage, 'total_input_tokens')
  if (whole === undefined) return undefined
  const shares = createShares()
  const input = modality(usage, 'input_tokens_by_modality', 'tokens')
  divideInput(shares, whole, {
    cached: countAt(usage, 'total_cached_tokens') ?? 0,
    written: 0,
    audio: input('AUDIO'),
    image: input('IMAGE'),
    video: input('VIDEO'),
  })
  const toolUse = countAt(usage, 'total_tool_use_tokens') ?? 0
  addShare(shares, 'input', toolUse)
  const written = countAt(usage, 'total_output_tokens') ?? 0
  const output = modality(usage, 'output_tokens_by_modality', 'tokens')
  divide(
    shares,
    written,
    [
      ['output-audio', output('AUDIO')],
      ['output-image', output('IMAGE')],
      ['output-video', output('VIDEO')],
    ],
    'output',
  )
  const thoughts = countAt(usage, 'total_thought_tokens') ?? 0
  addShare(shares, 'reasoning', thoughts)
  checkTotal(shares, countAt(usage, 'total_tokens'), whole + toolUse + written + thoughts)
  checkMembers(shares, usage, usageMembers)
  return { ...toCounts(shares), providerTicks: null }
}
