/**
 * The answer itself: a sentence or two that say honestly that no model ran, or a tool call, in the
 * JSON and SSE forms of the OpenAI chat wire. Deterministic from the request, but for `created`.
 */
import { createHash } from 'node:crypto'
import type { ChatRequest, ToolToCall } from './chat-request.ts'

/** A whole answer. Frames are the pieces that are written one by one; joined they are the body. */
export interface Answer {
  readonly contentType: string
  readonly frames: readonly Uint8Array[]
}

/** Bytes of the terminal event of a chat stream. */
export const doneEvent: Uint8Array = Buffer.from('data: [DONE]\n\n')

/** One SSE event with the framing of the chat wire. */
export function toDataEvent(payload: unknown): Uint8Array {
  return Buffer.from(`data: ${JSON.stringify(payload)}\n\n`)
}

/** The sentence that answers a prompt. Long prompts are quoted up to 200 code points. */
function toAnswerText(prompt: string): string {
  const characters = Array.from(prompt)
  const quoted = characters.length > 200 ? `${characters.slice(0, 200).join('')}…` : prompt
  const question = quoted === '' ? 'You asked nothing.' : `You asked: ${quoted}`
  return `This is the loopback provider: no model ran. ${question}`
}

/**
 * The normal answer to a request. `body` are the exact request bytes, from which ids are derived;
 * `nowMs` becomes `created`. Tokens are words with the space before them.
 */
export function createAnswer(chat: ChatRequest, body: Uint8Array, nowMs: number): Answer {
  const digest = createHash('sha256').update(body).digest()
  const message = createMessage(chat, digest.toString('hex').slice(0, 24))
  return chat.stream
    ? createStream(chat, createChunker(chat, body, nowMs), message)
    : createJson(chat, digest, message, nowMs)
}

/** Makes the next chunk of one stream from its `choices` and perhaps `usage`. */
export type Chunker = (content: JsonObject) => JsonObject

/** Makes the chunks of one stream, padded like real ones; `body` are the exact request bytes. */
export function createChunker(chat: ChatRequest, body: Uint8Array, nowMs: number): Chunker {
  const digest = createHash('sha256').update(body).digest()
  const envelope = createEnvelope(chat, digest, nowMs, 'chat.completion.chunk')
  const padding = digest.toString('base64url')
  const nullUsage = chat.includeUsage ? { usage: null } : {}
  let index = 0 // Owned by this chunker.
  return (content) => {
    index++
    const obfuscation = padding.slice(index % 29, (index % 29) + 1 + (index % 10))
    return { ...envelope, ...nullUsage, ...content, obfuscation }
  }
}

/** A chunk's `choices` member with one delta. */
export function toChoices(delta: JsonObject, finishReason: string | null = null): JsonObject {
  return { choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }] }
}

type JsonObject = Readonly<Record<string, unknown>>

/** What the answer says, before any wire has it. */
export interface Message {
  readonly content: readonly string[] | null
  readonly toolCall: { id: string; name: string; arguments: string } | null
  readonly finishReason: 'stop' | 'length' | 'tool_calls'
  readonly completionTokens: number
}

/** The message that answers a request; `idPart` goes into the id of a tool call. */
export function createMessage(chat: ChatRequest, idPart: string): Message {
  if (chat.tool !== null) {
    const text = JSON.stringify(toArguments(chat.tool, chat.prompt))
    return {
      content: null,
      toolCall: { id: `call_${idPart}`, name: chat.tool.name, arguments: text },
      finishReason: 'tool_calls',
      completionTokens: toTokens(text).length + 1,
    }
  }
  const all = toTokens(toAnswerText(chat.prompt))
  const content = all.slice(0, chat.maxTokens ?? all.length)
  return {
    content,
    toolCall: null,
    finishReason: content.length < all.length ? 'length' : 'stop',
    completionTokens: content.length,
  }
}

function createStream(chat: ChatRequest, chunk: Chunker, message: Message): Answer {
  const contents = [...toDeltas(message), toChoices({}, message.finishReason)]
  if (chat.includeUsage) contents.push({ choices: [], usage: toUsage(chat, message) })
  const events = contents.map((content) => toDataEvent(chunk(content)))
  return { contentType: 'text/event-stream; charset=utf-8', frames: [...events, doneEvent] }
}

function toDeltas(message: Message): JsonObject[] {
  if (message.toolCall === null) {
    const first = toChoices({ role: 'assistant', content: '', refusal: null })
    return [first, ...(message.content ?? []).map((content) => toChoices({ content }))]
  }
  const { id, name, arguments: text } = message.toolCall
  const call = { index: 0, id, type: 'function', function: { name, arguments: '' } }
  return [
    toChoices({ role: 'assistant', content: null, tool_calls: [call], refusal: null }),
    ...toTokens(text).map((piece) =>
      toChoices({ tool_calls: [{ index: 0, function: { arguments: piece } }] }),
    ),
  ]
}

function createJson(chat: ChatRequest, digest: Buffer, message: Message, nowMs: number): Answer {
  const { id, object, created, model, service_tier, system_fingerprint } = createEnvelope(
    chat,
    digest,
    nowMs,
    'chat.completion',
  )
  const body = {
    id,
    object,
    created,
    model,
    choices: [
      {
        index: 0,
        message: toJsonMessage(message),
        logprobs: null,
        finish_reason: message.finishReason,
      },
    ],
    usage: toUsage(chat, message),
    service_tier,
    system_fingerprint,
  }
  const bytes = Buffer.from(`${JSON.stringify(body, null, 2)}\n`)
  const frames = Array.from({ length: Math.ceil(bytes.length / 64) }, (_, index) =>
    bytes.subarray(index * 64, index * 64 + 64),
  )
  return { contentType: 'application/json', frames }
}

function toJsonMessage(message: Message): JsonObject {
  const content = message.content === null ? null : message.content.join('')
  const base = { role: 'assistant', content, refusal: null, annotations: [] }
  if (message.toolCall === null) return base
  const { id, name, arguments: text } = message.toolCall
  return { ...base, tool_calls: [{ id, type: 'function', function: { name, arguments: text } }] }
}

function toUsage(chat: ChatRequest, message: Message): JsonObject {
  return {
    prompt_tokens: chat.promptTokens,
    completion_tokens: message.completionTokens,
    total_tokens: chat.promptTokens + message.completionTokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}

function createEnvelope(
  chat: ChatRequest,
  digest: Buffer,
  nowMs: number,
  object: string,
): {
  id: string
  object: string
  created: number
  model: string
  service_tier: string
  system_fingerprint: string
} {
  return {
    id: `chatcmpl-${digest.toString('base64url').slice(0, 29)}`,
    object,
    created: Math.floor(nowMs / 1000),
    model: chat.model,
    service_tier: 'default',
    system_fingerprint: 'fp_loopback00',
  }
}

function toArguments(tool: ToolToCall, prompt: string): JsonObject {
  const values: JsonObject = {
    string: prompt,
    number: 1,
    integer: 1,
    boolean: true,
    array: [],
    object: {},
  }
  return Object.fromEntries(tool.required.map(({ name, type }) => [name, values[type] ?? null]))
}

/** Words, each with the white space before it; joined they are the text. */
export function toTokens(text: string): string[] {
  return text.match(/\s*\S+|\s+$/gu) ?? []
}
