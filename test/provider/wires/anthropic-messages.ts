/** POST /v1/messages and /v1/messages/count_tokens of the loopback provider. */
import { createHash } from 'node:crypto'
import { createMessage, toTokens, type Answer } from '../answer.ts'
import { toObject, toRequiredParameters, type ParsedChatRequest } from '../chat-request.ts'
import {
  readObject,
  refuse,
  textsOf,
  toChat,
  toJsonAnswer,
  toLimit,
  toNamedEvent,
  toStreamAnswer,
  type JsonObject,
  type ProviderWire,
  type WireRequest,
} from './wire.ts'

const failure = toNamedEvent({
  type: 'error',
  error: { type: 'overloaded_error', message: 'Overloaded' },
})

/** The wire of messages. */
export const messagesWire: ProviderWire = {
  parse: (request) => parse(request, true),
  createAnswer(chat, { body }) {
    const idPart = createHash('sha256').update(body).digest('base64url').slice(0, 24)
    const message = createMessage(chat, idPart)
    const { toolCall } = message
    const text = (message.content ?? []).join('')
    const block =
      toolCall === null
        ? { type: 'text', text }
        : {
            type: 'tool_use',
            id: `toolu_${idPart}`,
            name: toolCall.name,
            input: JSON.parse(toolCall.arguments),
          }
    const stop = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use' } as const
    const head = {
      model: chat.model,
      id: `msg_${idPart}`,
      type: 'message',
      role: 'assistant',
      content: [block],
      stop_reason: stop[message.finishReason],
      stop_sequence: null,
      usage: {
        input_tokens: chat.promptTokens,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 0,
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
        output_tokens: message.completionTokens,
        service_tier: 'standard',
      },
    }
    return chat.stream ? createStream(head, block, text) : toJsonAnswer(head)
  },
  failure,
}

/** The wire of counts. */
export const countTokensWire: ProviderWire = {
  parse: (request) => parse(request, false),
  createAnswer: (chat) => toJsonAnswer({ input_tokens: chat.promptTokens }),
  failure,
}

function parse({ body }: WireRequest, needsLimit: boolean): ParsedChatRequest {
  const root = readObject(body)
  if (root === undefined) return refuse('The request body is not valid JSON.')
  if (needsLimit && toLimit(root['max_tokens']) === null) return refuse('max_tokens: required')
  const [tool] = Array.isArray(root['tools']) ? root['tools'].map(toObject) : []
  const name = tool?.['name']
  const isCalled = typeof name === 'string' && toObject(root['tool_choice'])?.['type'] === 'any'
  return toChat(root, {
    prompt: textsOf(root['messages']).at(-1) ?? '',
    maxTokens: toLimit(root['max_tokens']),
    tool: isCalled
      ? { name, required: toRequiredParameters(toObject(tool?.['input_schema'])) }
      : null,
  })
}

function createStream(head: JsonObject, block: JsonObject, text: string): Answer {
  const usage = toObject(head['usage']) ?? {}
  const begun = {
    ...head,
    content: [],
    stop_reason: null,
    usage: { ...usage, output_tokens: 1 },
  }
  const isText = block['type'] === 'text'
  const deltas = isText
    ? toTokens(text).map((piece) => ({ type: 'text_delta', text: piece }))
    : toTokens(JSON.stringify(block['input'])).map((piece) => ({
        type: 'input_json_delta',
        partial_json: piece,
      }))
  return toStreamAnswer(
    [
      { type: 'message_start', message: begun },
      {
        type: 'content_block_start',
        index: 0,
        content_block: isText ? { type: 'text', text: '' } : { ...block, input: {} },
      },
      { type: 'ping' },
      ...deltas.map((delta) => ({ type: 'content_block_delta', index: 0, delta })),
      { type: 'content_block_stop', index: 0 },
      {
        type: 'message_delta',
        delta: { stop_reason: head['stop_reason'], stop_sequence: null },
        usage: {
          input_tokens: usage['input_tokens'],
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: 0,
          output_tokens: usage['output_tokens'],
        },
      },
      { type: 'message_stop' },
    ].map(toNamedEvent),
  )
}
