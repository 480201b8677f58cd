/**
 * Reads a provider's JSON before the SDK does, against a list of what can be translated: the SDK drops what it does not
 * know, and some of what it knows has no place on the caller's wire (spec/translation.md TR5).
 */
import { isObject, itemsAt, objectAt, type JsonObject } from '../metering/read-json.ts'
import { AnswerNotTranslatable } from './answer-part.ts'
import type { TargetWire } from './caller-request.ts'
import { holdsRoundedNumber } from './strict-json.ts'

/** What a piece says of the answer: a whole body, or the data of one event. */
export type GuardedPiece = { readonly model: string | undefined }

const guards: Readonly<Record<TargetWire, (piece: JsonObject) => unknown>> = {
  'anthropic-messages': guardAnthropic,
  'google-generate': guardGoogle,
  'openai-chat': guardChat,
}

/** @throws AnswerNotTranslatable */
export function guardAnswer(target: TargetWire, piece: unknown): GuardedPiece {
  if (!isObject(piece)) throw new AnswerNotTranslatable('a piece of the answer is no object')
  const model = guards[target](piece)
  return { model: typeof model === 'string' ? model : undefined }
}

const contentBlocks = new Set(['text', 'thinking', 'tool_use'])
const contentDeltas = new Set([
  'text_delta',
  'thinking_delta',
  'signature_delta',
  'input_json_delta',
])
const finalStops = new Set([
  null,
  undefined,
  'end_turn',
  'stop_sequence',
  'tool_use',
  'max_tokens',
  'model_context_window_exceeded',
  'refusal',
])

function guardAnthropic(piece: JsonObject): unknown {
  switch (piece['type']) {
    case 'message':
      guardMessage(piece)
      return piece['model']
    case 'message_start': {
      const message = objectAt(piece, 'message')
      guardMessage(message)
      return message['model']
    }
    case 'content_block_start':
      guardBlock(piece['content_block'], true)
      return undefined
    case 'content_block_delta':
      expectKnown(contentDeltas, objectAt(piece, 'delta')['type'], 'a delta')
      return undefined
    case 'message_delta':
      expectKnown(finalStops, objectAt(piece, 'delta')['stop_reason'], 'the stop reason')
      return undefined
    default:
      return undefined
  }
}

function guardMessage(message: JsonObject): void {
  expectKnown(finalStops, message['stop_reason'], 'the stop reason')
  for (const block of itemsAt(message, 'content')) guardBlock(block, false)
}

function guardBlock(block: unknown, isStart: boolean): void {
  if (!isObject(block)) throw new AnswerNotTranslatable('a block of content is no object')
  expectKnown(contentBlocks, block['type'], 'a block of content')
  if (itemsAt(block, 'citations').length > 0)
    throw new AnswerNotTranslatable('a text has citations')
  if (block['type'] !== 'tool_use') return
  if (block['toolset_name'] !== undefined)
    throw new AnswerNotTranslatable('a call is one of a toolset')
  guardInput(block['input'])
  if (isStart && isObject(block['input']) && Object.keys(block['input']).length > 0) {
    throw new AnswerNotTranslatable('a call begins with its input')
  }
}

const partMembers = new Set(['text', 'thought', 'thoughtSignature', 'functionCall'])
// As its documentation and as its clients name them.
const citationNames = ['citationSources', 'citations'] as const
const callMembers = new Set(['id', 'name', 'args'])

function guardGoogle(piece: JsonObject): unknown {
  const candidates = itemsAt(piece, 'candidates')
  if (candidates.length > 1) throw new AnswerNotTranslatable('there are several candidates')
  const [candidate] = candidates
  if (candidate !== undefined) guardCandidate(candidate)
  return piece['modelVersion']
}

function guardCandidate(candidate: unknown): void {
  if (!isObject(candidate)) throw new AnswerNotTranslatable('a candidate is no object')
  if (candidate['finishReason'] === 'CONTINUATION') {
    throw new AnswerNotTranslatable('the answer is to be continued by another call')
  }
  if (itemsAt(objectAt(candidate, 'groundingMetadata'), 'groundingChunks').length > 0) {
    throw new AnswerNotTranslatable('the answer has sources')
  }
  const citations = objectAt(candidate, 'citationMetadata')
  if (citationNames.some((name) => itemsAt(citations, name).length > 0)) {
    throw new AnswerNotTranslatable('a text has citations')
  }
  for (const part of itemsAt(objectAt(candidate, 'content'), 'parts')) {
    if (!isObject(part)) throw new AnswerNotTranslatable('a part is no object')
    for (const name of Object.keys(part)) expectKnown(partMembers, name, 'a part')
    if (part['thought'] === true && part['thoughtSignature'] !== undefined) {
      throw new AnswerNotTranslatable('a thought is signed')
    }
    const call = part['functionCall']
    if (call === undefined) continue
    if (!isObject(call)) throw new AnswerNotTranslatable('a call is no object')
    for (const name of Object.keys(call)) expectKnown(callMembers, name, 'a call')
    guardInput(call['args'])
  }
}

const choiceMembers = new Set(['index', 'message', 'delta', 'logprobs', 'finish_reason'])
const messageMembers = new Set(['role', 'content', 'refusal', 'tool_calls'])
const emptyMembers = new Set(['annotations', 'audio', 'function_call', 'reasoning_content'])
const finishReasons = new Set([null, undefined, 'stop', 'length', 'tool_calls', 'content_filter'])

function guardChat(piece: JsonObject): unknown {
  const choices = itemsAt(piece, 'choices')
  if (choices.length > 1) throw new AnswerNotTranslatable('there are several choices')
  const [choice] = choices
  if (choice === undefined) return piece['model']
  if (!isObject(choice) || (choice['index'] ?? 0) !== 0) {
    throw new AnswerNotTranslatable('there are several choices')
  }
  for (const name of Object.keys(choice)) expectKnown(choiceMembers, name, 'a choice')
  expectKnown(finishReasons, choice['finish_reason'], 'the finish reason')
  const isWhole = choice['message'] !== undefined
  const message = objectAt(choice, isWhole ? 'message' : 'delta')
  for (const [name, value] of Object.entries(message)) {
    const isEmpty =
      value === null || value === undefined || (Array.isArray(value) && value.length === 0)
    if (isEmpty && emptyMembers.has(name)) continue
    expectKnown(messageMembers, name, 'the message')
  }
  for (const call of itemsAt(message, 'tool_calls')) guardChatCall(call)
  return piece['model']
}

/** The SDK makes up an id where there is none, by chance. */
function guardChatCall(call: unknown): void {
  if (!isObject(call)) throw new AnswerNotTranslatable('a call is no object')
  const isStart = typeof objectAt(call, 'function')['name'] === 'string'
  const { id } = call
  if (isStart && (typeof id !== 'string' || id.trim() === '')) {
    throw new AnswerNotTranslatable('a call has no id')
  }
}

/** The SDK parses what the model wrote and writes it again. */
function guardInput(input: unknown): void {
  if (holdsRoundedNumber(input)) {
    throw new AnswerNotTranslatable('the input of a call has a number that would be rounded')
  }
}

function expectKnown(known: ReadonlySet<unknown>, value: unknown, what: string): void {
  if (!known.has(value)) {
    throw new AnswerNotTranslatable(`${what} has something of a kind that this wire cannot say`)
  }
}
