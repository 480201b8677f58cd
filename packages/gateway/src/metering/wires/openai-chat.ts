/** Chat completions, completions, embeddings: OpenAI, xAI and all that speak like them (spec/metering.md ME4.1). */
import {
  takeError,
  takeFinish,
  takeModel,
  takeTier,
  takeUsage,
  type Found,
  type WireReader,
} from '../found.ts'
import { isObject, itemsAt, type JsonObject } from '../read-json.ts'
import { readOpenAiUsage, type OpenAiRules } from './openai-usage.ts'

/** A reader of chat answers. */
export function createChatReader(reasoning: OpenAiRules['reasoning']): WireReader {
  return {
    // With values of their own: most chunks say "usage":null.
    marks: /"usage"[ \t\n\r:]*\{|"finish_reason"[ \t\n\r:]*"|"error"/,
    takeEvent: take,
    takeBody(found, json) {
      if (!isObject(json)) return
      take(found, json)
      found.isTerminated = true
    },
    toFigures: (usage, found) =>
      readOpenAiUsage(usage, found, { reasoning, plainOutput: 'output' }),
    sentinel: '[DONE]',
  }
}

function take(found: Found, json: JsonObject): void {
  takeModel(found, json)
  takeTier(found, json)
  takeUsage(found, json['usage'], true)
  takeError(found, json['error'])
  const first = itemsAt(json, 'choices')[0]
  if (isObject(first)) takeFinish(found, first, 'finish_reason')
}
