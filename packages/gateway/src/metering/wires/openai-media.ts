/** Images, speech and transcriptions of the OpenAI wire (spec/metering.md ME4.3). */
import { takeError, takeModel, takeTool, takeUsage, type Found, type WireReader } from '../found.ts'
import { isObject, itemsAt, type JsonObject } from '../read-json.ts'
import { readOpenAiUsage } from './openai-usage.ts'

const endings: ReadonlySet<unknown> = new Set([
  'image_generation.completed',
  'image_edit.completed',
  'speech.audio.done',
  'transcript.text.done',
])

/** A reader of answers whose plain output tokens are of the given kind. */
export function createMediaReader(
  plainOutput: 'output' | 'output-audio' | 'output-image',
): WireReader {
  return {
    marks: /"usage"[ \t\n\r:]*\{|"error"|\.(?:completed|done)"/,
    takeEvent(found, json) {
      take(found, json)
      if (json['type'] === 'error') found.hasError = true
      if (endings.has(json['type'])) found.isTerminated = true
      if (plainOutput === 'output-image' && endings.has(json['type'])) takeImage(found)
    },
    takeBody(found, json) {
      if (!isObject(json)) return
      take(found, json)
      if (plainOutput === 'output-image') itemsAt(json, 'data').forEach(() => takeImage(found))
      found.isTerminated = true
    },
    toFigures: (usage, found) =>
      readOpenAiUsage(usage, found, { reasoning: 'inside', plainOutput }),
    sentinel: '[DONE]',
  }
}

function take(found: Found, json: JsonObject): void {
  takeModel(found, json)
  takeUsage(found, json['usage'], true)
  takeError(found, json['error'])
}

function takeImage(found: Found): void {
  takeTool(found, String(found.tools.size), 'image')
}
