/** The methods of /v1beta/models/{model} of the loopback provider. */
import { createHash } from 'node:crypto'
import { createMessage, type Answer } from '../answer.ts'
import {
  toObject,
  toRequiredParameters,
  type ChatRequest,
  type ParsedChatRequest,
} from '../chat-request.ts'
import {
  readObject,
  refuse,
  textsOf,
  toChat,
  toJsonAnswer,
  toLimit,
  toStreamAnswer,
  type JsonObject,
  type ProviderWire,
  type WireRequest,
} from './wire.ts'

const failure = toEvent({ error: { code: 503, message: 'Overloaded.', status: 'UNAVAILABLE' } })

/** The wire of a method; undefined when there is no such method. */
export function findGoogleWire(method: string): ProviderWire | undefined {
  switch (method) {
    case 'generateContent':
      return createWire((chat, request) => toJsonAnswer(merge(createChunks(chat, request))))
    case 'streamGenerateContent':
      return createWire((chat, request) => createStream(chat, request))
    case 'countTokens':
      return createWire(({ promptTokens }) =>
        toJsonAnswer({ totalTokens: promptTokens, promptTokensDetails: toDetails(promptTokens) }),
      )
    case 'embedContent':
      return createWire(() => toJsonAnswer({ embedding }))
    case 'batchEmbedContents':
      return createWire(() => toJsonAnswer({ embeddings: [embedding] }))
    default:
      return undefined
  }
}

const embedding = { values: [0.25, -0.5, 1e-7] }

function createWire(createAnswer: ProviderWire['createAnswer']): ProviderWire {
  return { parse, createAnswer, failure }
}

function parse({ path, body }: WireRequest): ParsedChatRequest {
  const root = readObject(body)
  if (root === undefined) return refuse('Invalid JSON payload received.')
  const name = path.slice('/v1beta/models/'.length)
  const method = name.slice(name.lastIndexOf(':') + 1)
  const [tool] = Array.isArray(root['tools']) ? root['tools'].map(toObject) : []
  const declared = tool?.['functionDeclarations']
  const declaration = toObject(Array.isArray(declared) ? declared[0] : undefined)
  const first = declaration?.['name']
  const schema = toObject(declaration?.['parameters'] ?? declaration?.['parametersJsonSchema'])
  const mode = toObject(toObject(root['toolConfig'])?.['functionCallingConfig'])?.['mode']
  return toChat(root, {
    model: name.slice(0, name.lastIndexOf(':')),
    stream: method === 'streamGenerateContent',
    prompt: textsOf(root['contents']).at(-1) ?? '',
    maxTokens: toLimit(toObject(root['generationConfig'])?.['maxOutputTokens']),
    tool:
      typeof first === 'string' && mode === 'ANY'
        ? { name: first, required: toRequiredParameters(schema) }
        : null,
  })
}

function createStream(chat: ChatRequest, request: WireRequest): Answer {
  const chunks = createChunks(chat, request)
  if (request.query === 'alt=sse') return toStreamAnswer(chunks.map(toEvent))
  return toJsonAnswer(chunks)
}

function createChunks(chat: ChatRequest, { body }: WireRequest): readonly JsonObject[] {
  const responseId = createHash('sha256').update(body).digest('base64url').slice(0, 22)
  const message = createMessage(chat, responseId)
  const { toolCall, finishReason, completionTokens } = message
  const parts =
    toolCall === null
      ? (message.content ?? []).map((text) => ({ text }))
      : [{ functionCall: { name: toolCall.name, args: JSON.parse(toolCall.arguments) } }]
  return parts.map((part, index) => {
    const isLast = index === parts.length - 1
    const count = isLast ? completionTokens : index + 1
    const finish = finishReason === 'length' ? 'MAX_TOKENS' : 'STOP'
    return {
      candidates: [
        {
          content: { parts: [part], role: 'model' },
          ...(isLast ? { finishReason: finish } : {}),
          index: 0,
        },
      ],
      usageMetadata: {
        promptTokenCount: chat.promptTokens,
        candidatesTokenCount: count,
        totalTokenCount: chat.promptTokens + count,
        promptTokensDetails: toDetails(chat.promptTokens),
      },
      modelVersion: chat.model,
      responseId,
    }
  })
}

/** The chunks as one answer: all parts, and the end of the last one. */
function merge(chunks: readonly JsonObject[]): JsonObject {
  const last = chunks.at(-1) ?? {}
  const candidates = chunks.flatMap(({ candidates: list }) => (Array.isArray(list) ? list : []))
  const parts = candidates.flatMap((candidate) => {
    const list = toObject(toObject(candidate)?.['content'])?.['parts']
    return Array.isArray(list) ? list : []
  })
  const end = toObject(candidates.at(-1)) ?? {}
  return { ...last, candidates: [{ ...end, content: { parts, role: 'model' } }] }
}

function toDetails(tokenCount: number): JsonObject[] {
  return [{ modality: 'TEXT', tokenCount }]
}

function toEvent(payload: JsonObject): Uint8Array {
  return Buffer.from(`data: ${JSON.stringify(payload)}\r\n\r\n`)
}
