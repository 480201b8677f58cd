/** What a wire of the loopback provider is. Every wire answers with the same sentence, in its own true form. */
import type { Answer } from '../answer.ts'
import type { ChatRequest, ParsedChatRequest } from '../chat-request.ts'
import { toObject } from '../chat-request.ts'
import { invalidRequest } from '../provider-error.ts'

/** A request as a wire sees it. */
export interface WireRequest {
  /** Path without its query. */
  readonly path: string
  readonly query: string
  readonly contentType: string
  readonly body: Buffer
}

/** How one path is read and answered. */
export interface ProviderWire {
  parse(request: WireRequest): ParsedChatRequest
  createAnswer(chat: ChatRequest, request: WireRequest, nowMs: number): Answer
  /** What a stream of this wire says when the provider fails in its middle. */
  readonly failure: Uint8Array
}

/** An object with open keys. */
export type JsonObject = Readonly<Record<string, unknown>>

/** An event with a name, as the wires of responses and messages frame it. */
export function toNamedEvent(payload: JsonObject): Uint8Array {
  return Buffer.from(`event: ${String(payload['type'])}\ndata: ${JSON.stringify(payload)}\n\n`)
}

/** A whole JSON answer, pretty-printed and in pieces of 64 bytes. */
export function toJsonAnswer(value: unknown): Answer {
  const bytes = Buffer.from(`${JSON.stringify(value, null, 2)}\n`)
  const frames = Array.from({ length: Math.ceil(bytes.length / 64) }, (_, index) =>
    bytes.subarray(index * 64, index * 64 + 64),
  )
  return { contentType: 'application/json', frames }
}

/** A stream. */
export function toStreamAnswer(frames: readonly Uint8Array[]): Answer {
  return { contentType: 'text/event-stream; charset=utf-8', frames }
}

/** The JSON object of a body, or undefined. */
export function readObject(body: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
    return toObject(value)
  } catch {
    return undefined
  }
}

/** What the sentence needs of a request, whatever its wire calls it. */
export function toChat(root: JsonObject, parts: Partial<ChatRequest>): ParsedChatRequest {
  const model = parts.model ?? root['model']
  if (typeof model !== 'string' || model === '') return refuse('you must provide a model')
  const prompt = parts.prompt ?? ''
  const chat: ChatRequest = {
    stream: root['stream'] === true,
    includeUsage: true,
    maxTokens: null,
    promptTokens: 3 + prompt.split(/\s+/u).filter((word) => word !== '').length,
    tool: null,
    ...parts,
    model,
    prompt,
  }
  return { kind: 'chat', chat }
}

/** A refusal of a request. */
export function refuse(message: string): ParsedChatRequest {
  return { kind: 'refused', error: invalidRequest(message) }
}

// Those of messages, and those of the results of tools.
const textMembers = ['text', 'content', 'parts', 'output', 'functionResponse', 'response', 'result']

/** All texts below a value, the last one last. */
export function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(textsOf)
  const object = toObject(value)
  if (object === undefined) return []
  return textMembers.flatMap((name) => (object[name] === undefined ? [] : textsOf(object[name])))
}

/** A whole number of at least 1, or null. */
export function toLimit(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 ? value : null
}
