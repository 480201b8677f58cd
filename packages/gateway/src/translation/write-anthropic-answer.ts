/** Answers of Anthropic's messages wire (spec/translation.md TR4). */
import {
  AnswerNotTranslatable,
  type AnswerIdentity,
  type AnswerPart,
  type AnswerUsage,
  type AnswerWriter,
  type FinishReason,
} from './answer-part.ts'
import { parseStrictJson } from './strict-json.ts'

const stopReasons: Readonly<Record<FinishReason, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  'tool-calls': 'tool_use',
  'content-filter': 'refusal',
}

/** A writer of events. */
export function createAnthropicWriter(identity: AnswerIdentity): AnswerWriter {
  const blocks = createBlocks()
  let isBegun = false

  function begin(): string {
    if (isBegun) return ''
    isBegun = true
    const usage = { input_tokens: 0, output_tokens: 0 }
    return toEvent({
      type: 'message_start',
      message: {
        ...describe(identity),
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage,
      },
    })
  }

  return {
    write: (part) => {
      if (part.kind === 'error') {
        return toEvent({ type: 'error', error: { type: 'api_error', message: part.error.message } })
      }
      if (part.kind !== 'finish') return `${begin()}${blocks.write(part)}`
      const delta = { stop_reason: toStop(part.reason, blocks.hasCalls()), stop_sequence: null }
      const usage = toUsage(part.usage)
      return [
        begin(),
        blocks.end(),
        toEvent({ type: 'message_delta', delta, usage }),
        toEvent({ type: 'message_stop' }),
      ].join('')
    },
  }
}

/** Owns which blocks of a stream are open. */
function createBlocks(): { write(part: AnswerPart): string; end(): string; hasCalls(): boolean } {
  const calls = new Map<string, { readonly index: number; input: string }>()
  let textIndex: number | undefined
  let count = 0

  function endText(): string {
    if (textIndex === undefined) return ''
    const index = textIndex
    textIndex = undefined
    return toEvent({ type: 'content_block_stop', index })
  }

  function writeText(text: string): string {
    const start =
      textIndex === undefined
        ? toEvent({
            type: 'content_block_start',
            index: count,
            content_block: { type: 'text', text: '' },
          })
        : ''
    textIndex ??= count++
    const delta = { type: 'text_delta', text }
    return `${start}${toEvent({ type: 'content_block_delta', index: textIndex, delta })}`
  }

  function startCall(id: string, name: string): string {
    if (calls.has(id)) throw new AnswerNotTranslatable('two calls have one id')
    const index = count++
    calls.set(id, { index, input: '' })
    const block = { type: 'tool_use', id, name, input: {} }
    return `${endText()}${toEvent({ type: 'content_block_start', index, content_block: block })}`
  }

  function writeCall(part: Extract<AnswerPart, { kind: 'tool-input' | 'tool-end' }>): string {
    const call = calls.get(part.id)
    if (call === undefined) throw new AnswerNotTranslatable('a call has no beginning')
    const { index } = call
    if (part.kind === 'tool-end') {
      parseInput(call.input)
      return toEvent({ type: 'content_block_stop', index })
    }
    call.input += part.text
    const delta = { type: 'input_json_delta', partial_json: part.text }
    return toEvent({ type: 'content_block_delta', index, delta })
  }

  return {
    write: (part) => {
      switch (part.kind) {
        case 'text':
          return writeText(part.text)
        case 'tool-start':
          return startCall(part.id, part.name)
        case 'tool-input':
        case 'tool-end':
          return writeCall(part)
        case 'error':
        case 'finish':
          return ''
        case 'reasoning-start':
        case 'reasoning':
        case 'reasoning-signature':
        case 'text-signature':
          throw new AnswerNotTranslatable('the answer has reasoning')
      }
    },
    end: endText,
    hasCalls: () => calls.size > 0,
  }
}

/** A whole answer. */
export function createAnthropicBody(
  identity: AnswerIdentity,
  parts: readonly AnswerPart[],
): object {
  const content: object[] = []
  let text = ''
  let call: { readonly id: string; readonly name: string; input: string } | undefined
  let end: Extract<AnswerPart, { kind: 'finish' }> | undefined
  let hasCalls = false
  const endText = (): void => {
    if (text !== '') content.push({ type: 'text', text })
    text = ''
  }
  for (const part of parts) {
    if (part.kind === 'text') text += part.text
    else if (part.kind === 'tool-start') {
      endText()
      hasCalls = true
      call = { id: part.id, name: part.name, input: '' }
    } else if (part.kind === 'tool-input') {
      if (call !== undefined) call.input += part.text
    } else if (part.kind === 'tool-end') {
      if (call === undefined) continue
      const { id, name, input } = call
      content.push({ type: 'tool_use', id, name, input: parseInput(input) })
    } else if (part.kind === 'finish') end = part
    else throw new AnswerNotTranslatable('the answer has reasoning')
  }
  endText()
  if (end === undefined) throw new AnswerNotTranslatable('the answer does not end')
  return {
    ...describe(identity),
    content,
    stop_reason: toStop(end.reason, hasCalls),
    stop_sequence: null,
    usage: toUsage(end.usage),
  }
}

function describe({ id, model }: AnswerIdentity): object {
  return { id: `msg_${id}`, type: 'message', role: 'assistant', model: model() }
}

/** OpenAI says "stop" also of an answer that calls the tool that it was told to call. */
function toStop(reason: FinishReason, hasCalls: boolean): string {
  return hasCalls && reason === 'stop' ? 'tool_use' : stopReasons[reason]
}

/** OpenAI's wire has the input as a text that the model wrote: it may be anything. */
function parseInput(text: string): object {
  const read = parseStrictJson(text === '' ? '{}' : text)
  const value = read.kind === 'value' ? read.value : undefined
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AnswerNotTranslatable(
      'the input of a call is no JSON object that can be kept as it is',
    )
  }
  return value
}

function toUsage(usage: AnswerUsage | undefined): object {
  if (usage === undefined) throw new AnswerNotTranslatable('the provider counted no tokens')
  const { input, cacheRead, cacheWrite, output } = usage
  return {
    input_tokens: input - cacheRead - cacheWrite,
    cache_creation_input_tokens: cacheWrite,
    cache_read_input_tokens: cacheRead,
    output_tokens: output,
  }
}

function toEvent(payload: { readonly type: string; readonly [name: string]: unknown }): string {
  return `event: ${payload.type}\ndata: ${JSON.stringify(payload)}\n\n`
}
