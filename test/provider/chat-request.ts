/** Parses the body of POST /v1/chat/completions as far as the loopback provider acts on it. */
import { invalidRequest } from './provider-error.ts'
import type { ProviderError } from './provider-error.ts'

/** A tool that the answer must call instead of speaking. */
export interface ToolToCall {
  readonly name: string
  /** Names and JSON-schema types of the required parameters, in order. */
  readonly required: readonly { readonly name: string; readonly type: string }[]
}

/** What the loopback provider understood of a chat request. */
export interface ChatRequest {
  readonly model: string
  readonly stream: boolean
  readonly includeUsage: boolean
  /** Number of answer tokens allowed, or null when the caller set no limit. */
  readonly maxTokens: number | null
  /** Text of the last message; text parts joined by a space. */
  readonly prompt: string
  /** Words in all messages plus three per message: a count, not a tokenizer. */
  readonly promptTokens: number
  readonly tool: ToolToCall | null
}

/** Either the request or the 400 that answers it. */
export type ParsedChatRequest =
  | { readonly kind: 'chat'; readonly chat: ChatRequest }
  | { readonly kind: 'refused'; readonly error: ProviderError }

type JsonObject = Readonly<Record<string, unknown>>

/** Reads strict UTF-8 JSON; whatever is malformed becomes a refusal, never an exception. */
export function parseChatRequest(body: Uint8Array): ParsedChatRequest {
  const root = parseJsonObject(body)
  if (root === undefined) return refuse('We could not parse the JSON body of your request.')
  const model = root['model']
  if (typeof model !== 'string' || model === '') return refuse('you must provide a model', 'model')
  const messages = root['messages']
  if (!Array.isArray(messages) || messages.length === 0) {
    return refuse('[] is too short - messages', 'messages')
  }
  const limit = root['max_completion_tokens'] ?? root['max_tokens'] ?? null
  if (!isTokenLimit(limit)) {
    return refuse('The token limit must be an integer of at least 1.', 'max_tokens')
  }
  if ((root['n'] ?? 1) !== 1) return refuse('The loopback provider answers once: n must be 1.', 'n')
  const texts = messages.map(toMessageText)
  const prompt = texts.at(-1) ?? ''
  const streamOptions = toObject(root['stream_options'])
  return {
    kind: 'chat',
    chat: {
      model,
      stream: root['stream'] === true,
      includeUsage: streamOptions?.['include_usage'] === true,
      maxTokens: limit,
      prompt,
      promptTokens: texts.reduce((sum, text) => sum + 3 + countWords(text), 0),
      tool: selectTool(root, prompt),
    },
  }
}

/** The value as an object with open keys, or undefined for anything else. */
export function toObject(value: unknown): JsonObject | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.fromEntries(Object.entries(value))
}

function parseJsonObject(body: Uint8Array): JsonObject | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
    const parsed: unknown = JSON.parse(text)
    return toObject(parsed)
  } catch {
    return undefined
  }
}

function isTokenLimit(value: unknown): value is number | null {
  return value === null || (typeof value === 'number' && Number.isInteger(value) && value >= 1)
}

function toMessageText(message: unknown): string {
  const content = toObject(message)?.['content']
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  const parts: readonly unknown[] = content
  const texts = parts.map((part) => toObject(part)?.['text'])
  return texts.filter((text) => typeof text === 'string').join(' ')
}

/** The named tool, or the first one when a call is required or the prompt says "call tool". */
function selectTool(root: JsonObject, prompt: string): ToolToCall | null {
  const tools: readonly unknown[] = Array.isArray(root['tools']) ? root['tools'] : []
  const functions: readonly JsonObject[] = tools.flatMap((tool) => {
    const described = toObject(toObject(tool)?.['function'])
    return described === undefined ? [] : [described]
  })
  const choice = root['tool_choice']
  const namedFunction = toObject(toObject(choice)?.['function'])?.['name']
  const isAsked = choice === 'required' || /\bcall tool\b/i.test(prompt)
  const selected =
    namedFunction === undefined
      ? isAsked && choice !== 'none'
        ? functions[0]
        : undefined
      : functions.find((candidate) => candidate['name'] === namedFunction)
  const name = selected?.['name']
  if (typeof name !== 'string') return null
  return { name, required: toRequiredParameters(toObject(selected?.['parameters'])) }
}

/** The required parameters of a JSON schema, or of what Google writes for one. */
export function toRequiredParameters(schema: JsonObject | undefined): ToolToCall['required'] {
  const properties = toObject(schema?.['properties'])
  const names: readonly unknown[] = Array.isArray(schema?.['required']) ? schema['required'] : []
  return names.flatMap((name) => {
    if (typeof name !== 'string') return []
    const type = toObject(properties?.[name])?.['type']
    return [{ name, type: typeof type === 'string' ? type.toLowerCase() : 'null' }]
  })
}

function countWords(text: string): number {
  return text.split(/\s+/u).filter((word) => word !== '').length
}

function refuse(message: string, param: string | null = null): ParsedChatRequest {
  return { kind: 'refused', error: invalidRequest(message, param) }
}
