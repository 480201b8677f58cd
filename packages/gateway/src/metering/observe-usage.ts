/**
 * Watches a provider's answer go by, on any wire: usage, model as served, stop reason, end of the protocol, errors
 * (spec/metering.md ME3, ME4). Nothing here changes or delays a byte.
 */
import { dataOf } from './event-data.ts'
import { createFound, toObservation, type WireReader } from './found.ts'
import { isObject, parseLongJson } from './read-json.ts'
import type { Observation } from './usage.ts'
import { createMessagesReader } from './wires/anthropic.ts'
import { createInteractionsReader } from './wires/google-interactions.ts'
import { createGenerateReader } from './wires/google.ts'
import { createChatReader } from './wires/openai-chat.ts'
import { createMediaReader } from './wires/openai-media.ts'
import { createResponsesReader } from './wires/openai-responses.ts'

/** How a provider reports use. Not the same as its path: xAI answers on OpenAI's paths and counts otherwise. */
export type MeterWire = keyof typeof readers

/** Collects what the events of one stream say. */
export type UsageObserver = {
  /** Takes one event as it was cut from the stream, framing included (`createEventSplitter`). */
  observe(event: Uint8Array): void
  /** Takes the data of one event, framing removed. */
  observeData(data: string): void
  /** What was seen so far; may be asked at any time. */
  result(): Observation
}

const readers = {
  /** Also `/v1/completions`, `/v1/embeddings` and `/v1/moderations`. */
  'openai-chat': createChatReader('inside'),
  'openai-responses': createResponsesReader('by-item'),
  'openai-images': createMediaReader('output-image'),
  'openai-speech': createMediaReader('output-audio'),
  'openai-transcription': createMediaReader('output'),
  'xai-chat': createChatReader('outside'),
  'xai-responses': createResponsesReader('in-usage'),
  anthropic: createMessagesReader(),
  google: createGenerateReader(),
  'google-interactions': createInteractionsReader(),
} satisfies Record<string, WireReader>

/** All wires that can be metered. */
export const meterWires: readonly MeterWire[] = Object.keys(readers).filter(isMeterWire)

// An event that ends a stream is short: a whole one, with some room for comments.
const maxSentinelEventBytes = 1024
// A stream whose first events do not name their model is not searched for it to its end.
const maxModelSearch = 4

/** An observer of one stream. Only events that can matter are parsed. */
export function createUsageObserver(wire: MeterWire): UsageObserver {
  const reader: WireReader = readers[wire]
  const found = createFound()
  let searched = 0

  function canMatter(text: string): boolean {
    if (found.model === null && searched < maxModelSearch) {
      searched++
      return true
    }
    return reader.marks.test(text)
  }

  function take(data: Buffer): void {
    const json = parseLongJson(data)
    if (isObject(json)) reader.takeEvent(found, json)
  }

  return {
    observe(event) {
      const bytes = toBuffer(event)
      // One character for each byte: what is searched for is ASCII.
      const text = bytes.toString('latin1')
      if (!text.includes('data:')) return
      if (reader.sentinel !== null && text.length <= maxSentinelEventBytes) {
        if (text.includes(reader.sentinel) && dataOf(bytes).toString().trim() === reader.sentinel) {
          found.isTerminated = true
          return
        }
      }
      if (canMatter(text)) take(dataOf(bytes))
    },
    observeData(data) {
      if (data.trim() === reader.sentinel) found.isTerminated = true
      else if (canMatter(data)) take(Buffer.from(data))
    },
    result: () => toObservation(found, reader),
  }
}

/** The same bytes. Events that lie in one chunk are Buffers already. */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** What a whole JSON body says. A body that is no JSON counts as not terminated. */
export function observeBody(wire: MeterWire, body: Uint8Array): Observation {
  const reader: WireReader = readers[wire]
  const found = createFound()
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length)
  reader.takeBody(found, parseLongJson(bytes))
  return toObservation(found, reader)
}

function isMeterWire(name: string): name is MeterWire {
  return Object.hasOwn(readers, name)
}
