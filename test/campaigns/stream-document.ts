/** Streams as a provider could send them, drawn from a seed: every line end, comments, odd names, long and cut events. */
import type { Random } from '../tampering/random.ts'

/** One body, and the wire that it belongs to. */
export interface StreamDocument {
  readonly wire: 'chat' | 'messages' | 'stream-generate'
  readonly body: Buffer
  /** False: the stream ends without its terminal event. */
  readonly isTerminated: boolean
}

const wires = ['chat', 'messages', 'stream-generate'] as const
const lineEnds = ['\n', '\r\n', '\r'] as const
const texts = [
  'plain',
  'Grüße',
  '日本語',
  '😀👩‍👩‍👧',
  '\u2028\u2029\u0085',
  '\u{feff}',
  '"\\u00e9\\/"',
  'data: not a field',
  ' '.repeat(9),
] as const
const terminals = {
  chat: ['[DONE]'],
  messages: ['{"type":"message_stop"}'],
  'stream-generate': [
    '{"candidates":[{"content":{"parts":[{"text":"."}]},"finishReason":"STOP","index":0}]}',
  ],
} as const

/** `bigBytes` > 0 puts one event of that size into the stream. */
export function createDocument(random: Random, bigBytes = 0): StreamDocument {
  const wire = random.pick(wires)
  const events: string[] = []
  const count = 1 + random.below(12)
  for (let index = 0; index < count; index++) events.push(createEvent(random, wire, index))
  if (bigBytes > 0) {
    const long = `data: ${JSON.stringify({ long: 'ü'.repeat(bigBytes / 2) })}\n\n`
    events.splice(random.below(events.length), 0, long)
  }
  const isTerminated = random.below(20) > 0
  if (isTerminated) events.push(...terminals[wire].map((data) => frame(random, wire, data)))
  const start = random.below(8) === 0 ? '\u{feff}' : ''
  const rest = random.below(10) === 0 ? ': after the end' : ''
  return { wire, body: Buffer.from(start + events.join('') + rest), isTerminated }
}

function createEvent(random: Random, wire: StreamDocument['wire'], index: number): string {
  const text = Array.from({ length: random.below(4) }, () => random.pick(texts)).join('')
  switch (random.below(8)) {
    case 0:
      return `: comment ${text}${random.pick(lineEnds)}`
    case 1:
      // Lines that are no field at all, and an empty event.
      return `${text.replaceAll(/[\r\n]/g, '')}${random.pick(lineEnds)}${random.pick(lineEnds).repeat(2)}`
    case 2: {
      const end = random.pick(lineEnds)
      return `id: ${String(index)}${end}retry: 10${end}data: {"a":${end}data:1}${end}${end}`
    }
    default:
      return frame(random, wire, toPayload(wire, text, index))
  }
}

function toPayload(wire: StreamDocument['wire'], text: string, index: number): string {
  const tokens = index + 1
  switch (wire) {
    case 'chat': {
      const usage = { prompt_tokens: 3, completion_tokens: tokens, total_tokens: tokens + 3 }
      return JSON.stringify({
        id: 'chatcmpl-1',
        object: 'chat.completion.chunk',
        model: 'fuzz',
        choices: [{ index: 0, delta: { content: text }, finish_reason: null }],
        usage: index % 3 === 0 ? usage : null,
      })
    }
    case 'messages':
      return index === 0
        ? `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"fuzz","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}`
        : `{"type":"message_delta","delta":{"stop_reason":"end_turn","text":${JSON.stringify(text)}},"usage":{"output_tokens":${String(tokens)}}}`
    case 'stream-generate':
      return JSON.stringify({
        candidates: [{ content: { parts: [{ text }], role: 'model' }, index: 0 }],
        usageMetadata: {
          promptTokenCount: 3,
          candidatesTokenCount: tokens,
          totalTokenCount: tokens + 3,
        },
        modelVersion: 'fuzz',
      })
  }
}

function frame(random: Random, wire: StreamDocument['wire'], data: string): string {
  const end = random.pick(lineEnds)
  const space = random.below(2) === 0 ? ' ' : ''
  const [, type] = /"type":"(\w+)"/.exec(data) ?? []
  const name = wire === 'messages' && type !== undefined ? `event:${space}${type}${end}` : ''
  return `${name}data:${space}${data}${end}${end}`
}

/**
 * The elements of a body by the words of spec/receipt.md RC5.1, slowly: a second way to cut events, for comparison.
 * A carriage return before a line feed belongs to the same line end.
 */
export function cutElements(body: Buffer): readonly Buffer[] {
  const elements: Buffer[] = []
  let start = 0
  let lineStart = 0
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]
    if (byte !== 10 && byte !== 13) continue
    const isPair = byte === 13 && body[at + 1] === 10
    const next = at + (isPair ? 2 : 1)
    const isEmpty = at === lineStart
    if (isEmpty) {
      elements.push(body.subarray(start, next))
      start = next
    }
    lineStart = next
    at = next - 1
  }
  if (start < body.length) elements.push(body.subarray(start))
  return elements
}
