/** POST /v1/responses of the loopback provider, and what it keeps of its answers. */
import { randomBytes } from 'node:crypto'
import { createMessage, toTokens, type Answer, type Message } from '../answer.ts'
import { toObject, toRequiredParameters, type ChatRequest } from '../chat-request.ts'
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
} from './wire.ts'

/** Answers that were stored, by id. Owned by the process. */
export const storedResponses: Map<string, JsonObject> = new Map<string, JsonObject>()

/** The wire. */
export const responsesWire: ProviderWire = {
  parse({ body }) {
    const root = readObject(body)
    if (root === undefined) return refuse('We could not parse the JSON body of your request.')
    const earlier = root['previous_response_id']
    if (typeof earlier === 'string' && !storedResponses.has(earlier)) {
      return refuse(`Previous response with id '${earlier}' not found.`)
    }
    const prompt = textsOf(root['input']).at(-1) ?? ''
    const [tool] = Array.isArray(root['tools']) ? root['tools'].map(toObject) : []
    const name = tool?.['name']
    const isCalled = typeof name === 'string' && root['tool_choice'] === 'required'
    return toChat(root, {
      prompt,
      maxTokens: toLimit(root['max_output_tokens']),
      tool: isCalled
        ? { name, required: toRequiredParameters(toObject(tool?.['parameters'])) }
        : null,
    })
  },
  createAnswer(chat, { body }, nowMs) {
    const root = readObject(body) ?? {}
    const id = `resp_${randomBytes(24).toString('hex')}`
    const item = createItem(createMessage(chat, id.slice(-24)), id)
    const response = createResponse(chat, root, { id, item, nowMs })
    if (root['store'] !== false) storedResponses.set(id, response)
    return chat.stream ? createStream(response, item) : toJsonAnswer(response)
  },
  failure: Buffer.concat([
    toNamedEvent({
      type: 'error',
      sequence_number: 2,
      error: { type: 'server_error', code: 'server_error', message: 'It failed.', param: null },
    }),
  ]),
}

interface Item {
  readonly kind: 'message' | 'function_call'
  readonly id: string
  readonly text: string
  readonly done: JsonObject
  readonly isCut: boolean
  readonly tokens: number
}

function createItem(message: Message, responseId: string): Item {
  const idPart = responseId.slice('resp_'.length)
  const { toolCall, completionTokens: tokens } = message
  if (toolCall !== null) {
    const { id, name, arguments: text } = toolCall
    const done = {
      id: `fc_${idPart}`,
      type: 'function_call',
      status: 'completed',
      arguments: text,
      call_id: id,
      name,
    }
    return { kind: 'function_call', id: done.id, text, done, isCut: false, tokens }
  }
  const text = (message.content ?? []).join('')
  const done = {
    id: `msg_${idPart}`,
    type: 'message',
    status: 'completed',
    content: [{ type: 'output_text', annotations: [], logprobs: [], text }],
    role: 'assistant',
  }
  const isCut = message.finishReason === 'length'
  return { kind: 'message', id: done.id, text, done, isCut, tokens }
}

function createResponse(
  chat: ChatRequest,
  root: JsonObject,
  { id, item, nowMs }: { readonly id: string; readonly item: Item; readonly nowMs: number },
): JsonObject {
  return {
    id,
    object: 'response',
    created_at: Math.floor(nowMs / 1000),
    status: item.isCut ? 'incomplete' : 'completed',
    background: false,
    error: null,
    incomplete_details: item.isCut ? { reason: 'max_output_tokens' } : null,
    instructions: root['instructions'] ?? null,
    max_output_tokens: chat.maxTokens,
    model: chat.model,
    output: [item.done],
    parallel_tool_calls: true,
    previous_response_id: root['previous_response_id'] ?? null,
    reasoning: { effort: null, summary: null },
    service_tier: 'default',
    store: root['store'] !== false,
    temperature: 1,
    text: { format: { type: 'text' }, verbosity: 'medium' },
    tool_choice: root['tool_choice'] ?? 'auto',
    tools: root['tools'] ?? [],
    top_p: 1,
    truncation: 'disabled',
    usage: {
      input_tokens: chat.promptTokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: item.tokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: chat.promptTokens + item.tokens,
    },
    user: null,
    metadata: root['metadata'] ?? {},
  }
}

function createStream(response: JsonObject, item: Item): Answer {
  const begun = { ...response, status: 'in_progress', output: [], usage: null }
  const started =
    item.kind === 'message'
      ? { ...item.done, status: 'in_progress', content: [] }
      : { ...item.done, status: 'in_progress', arguments: '' }
  const place = { item_id: item.id, output_index: 0 }
  const name = item.isCut ? 'response.incomplete' : 'response.completed'
  const payloads: JsonObject[] = [
    { type: 'response.created', response: begun },
    { type: 'response.in_progress', response: begun },
    { type: 'response.output_item.added', output_index: 0, item: started },
    ...(item.kind === 'message' ? toTextEvents(item, place) : toArgumentEvents(item, place)),
    { type: 'response.output_item.done', output_index: 0, item: item.done },
    { type: name, response },
  ]
  return toStreamAnswer(
    payloads.map(({ type, ...rest }, index) =>
      toNamedEvent({ type, sequence_number: index, ...rest }),
    ),
  )
}

function toTextEvents({ text }: Item, place: JsonObject): JsonObject[] {
  const part = { type: 'output_text', annotations: [], logprobs: [], text: '' }
  const at = { ...place, content_index: 0 }
  return [
    { type: 'response.content_part.added', ...at, part },
    ...toTokens(text).map((delta) => ({
      type: 'response.output_text.delta',
      ...at,
      delta,
      logprobs: [],
    })),
    { type: 'response.output_text.done', ...at, text, logprobs: [] },
    { type: 'response.content_part.done', ...at, part: { ...part, text } },
  ]
}

function toArgumentEvents({ text }: Item, place: JsonObject): JsonObject[] {
  return [
    ...toTokens(text).map((delta) => ({
      type: 'response.function_call_arguments.delta',
      ...place,
      delta,
    })),
    { type: 'response.function_call_arguments.done', ...place, arguments: text },
  ]
}
