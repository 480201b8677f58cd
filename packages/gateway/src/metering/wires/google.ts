/** The native wire of Google: generateContent, streamGenerateContent, embedContent (spec/metering.md ME4.5). */
import {
  countTools,
  takeError,
  takeFinish,
  takeModel,
  takeTool,
  takeUsage,
  type Figures,
  type Found,
  type WireReader,
} from '../found.ts'
import { countAt, isObject, itemsAt, objectAt, type JsonObject } from '../read-json.ts'
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
  'promptTokenCount',
  'cachedContentTokenCount',
  'candidatesTokenCount',
  'toolUsePromptTokenCount',
  'thoughtsTokenCount',
  'totalTokenCount',
])

/** A reader of generated content. */
export function createGenerateReader(): WireReader {
  return {
    marks: /"usageMetadata"|"finishReason"|"promptFeedback"|"groundingMetadata"|"error"/,
    takeEvent: takeChunk,
    takeBody(found, json) {
      // Without alt=sse a stream is an array of its chunks.
      const chunks: readonly unknown[] = Array.isArray(json) ? json : [json]
      for (const chunk of chunks) if (isObject(chunk)) takeChunk(found, chunk)
      found.isTerminated = Array.isArray(json) ? found.isTerminated : isObject(json)
    },
    toFigures: readUsage,
    sentinel: null,
  }
}

function takeChunk(found: Found, json: JsonObject): void {
  takeModel(found, json, 'modelVersion')
  takeError(found, json['error'])
  const usage = json['usageMetadata']
  // Under provisioned throughput all chunks but the last count nothing (recorded).
  if (isObject(usage) && countAt(usage, 'promptTokenCount') !== undefined) {
    takeUsage(found, usage, true)
  }
  const feedback = objectAt(json, 'promptFeedback')
  takeFinish(found, feedback, 'blockReason')
  if (typeof feedback['blockReason'] === 'string') found.isTerminated = true
  for (const candidate of itemsAt(json, 'candidates')) {
    if (isObject(candidate)) takeCandidate(found, candidate)
  }
}

function takeCandidate(found: Found, candidate: JsonObject): void {
  if (found.finish === null) takeFinish(found, candidate, 'finishReason')
  if (typeof candidate['finishReason'] === 'string') found.isTerminated = true
  for (const query of itemsAt(objectAt(candidate, 'groundingMetadata'), 'webSearchQueries')) {
    if (typeof query === 'string' && query !== '') takeTool(found, query, 'web-search')
  }
}

function readUsage(usage: JsonObject, found: Found): Figures | undefined {
  const prompt = countAt(usage, 'promptTokenCount')
  if (prompt === undefined) return undefined
  const toolUse = countAt(usage, 'toolUsePromptTokenCount') ?? 0
  const thoughts = countAt(usage, 'thoughtsTokenCount') ?? 0
  const candidates = countAt(usage, 'candidatesTokenCount') ?? 0
  const shares = createShares()
  const input = modality(usage, 'promptTokensDetails', 'tokenCount')
  const cache = modality(usage, 'cacheTokensDetails', 'tokenCount')
  divideInput(shares, prompt, {
    cached: countAt(usage, 'cachedContentTokenCount') ?? 0,
    written: 0,
    audio: input('AUDIO'),
    image: input('IMAGE'),
    video: input('VIDEO'),
    cachedParts: { audio: cache('AUDIO'), image: cache('IMAGE'), video: cache('VIDEO') },
  })
  addShare(shares, 'input', toolUse)
  const output = modality(usage, 'candidatesTokensDetails', 'tokenCount')
  divide(
    shares,
    candidates,
    [
      ['output-audio', output('AUDIO')],
      ['output-image', output('IMAGE')],
      ['output-video', output('VIDEO')],
    ],
    'output',
  )
  addShare(shares, 'reasoning', thoughts)
  checkTotal(shares, countAt(usage, 'totalTokenCount'), prompt + toolUse + candidates + thoughts)
  checkMembers(shares, usage, usageMembers)
  const { counts, notes } = toCounts(shares)
  return { counts: { ...counts, ...countTools(found) }, notes, providerTicks: null }
}

/** Tokens of a modality in a list of {modality, count}. */
export function modality(
  usage: JsonObject,
  list: string,
  member: string,
): (name: string) => number {
  const items = itemsAt(usage, list).filter(isObject)
  return (name) =>
    items
      .filter((item) => String(item['modality']).toUpperCase() === name)
      .reduce((sum, item) => sum + (countAt(item, member) ?? 0), 0)
}
