/** Answers of OpenAI's chat wire (spec/translation.md TR4). */
import {
  AnswerNotTranslatable,
  type AnswerIdentity,
  type AnswerPart,
  type AnswerUsage,
  type AnswerWriter,
  type FinishReason,
} from './answer-part.ts'

const finishReasons: Readonly<Record<FinishReason, string>> = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
}

/** A writer of chunks. */
export function createChatWriter(
  identity: AnswerIdentity,
  options: { readonly includesUsage: boolean },
): AnswerWriter {
  const order = createOrder()
  let isBegun = false

  function chunk(delta: object, finishReason: string | null = null): string {
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: finishReason }]
    return toEvent({ ...head(), choices, ...(options.includesUsage ? { usage: null } : {}) })
  }

  function head(): object {
    return describe(identity, 'chat.completion.chunk')
  }

  function writeContent(part: AnswerPart): string {
    const delta = toDelta(part, order.take(part))
    if (delta === undefined) return ''
    const role = isBegun ? {} : { role: 'assistant' }
    isBegun = true
    return chunk({ ...role, ...delta })
  }

  return {
    write: (part) => {
      if (part.kind === 'error') {
        return toEvent({ error: { ...part.error, param: null, code: part.error.type } })
      }
      if (part.kind !== 'finish') return writeContent(part)
      const begin = isBegun ? '' : chunk({ role: 'assistant', content: '' })
      const end = chunk({}, finishReasons[part.reason])
      const usage = options.includesUsage
        ? toEvent({ ...head(), choices: [], usage: toUsage(part.usage) })
        : ''
      return `${begin}${end}${usage}data: [DONE]\n\n`
    },
  }
}

/** A whole answer. */
export function createChatBody(identity: AnswerIdentity, parts: readonly AnswerPart[]): object {
  const order = createOrder()
  for (const part of parts) order.take(part)
  const end = parts.find((part) => part.kind === 'finish')
  const texts = parts.filter((part) => part.kind === 'text')
  const text = texts.length === 0 ? null : texts.map((part) => part.text).join('')
  const thoughts = parts.filter((part) => part.kind === 'reasoning')
  const reasoning = thoughts.map((part) => part.text).join('')
  const signature = parts.find(isSignature)
  const calls = parts
    .filter((part) => part.kind === 'tool-start')
    .map((call) => toCall(call, parts))
  if (end === undefined) throw new AnswerNotTranslatable('the answer does not end')
  const message = {
    role: 'assistant',
    content: text,
    refusal: null,
    annotations: [],
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(signature === undefined ? {} : { extra_content: toExtra(signature) }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  }
  const choice = { index: 0, message, logprobs: null, finish_reason: finishReasons[end.reason] }
  return {
    ...describe(identity, 'chat.completion'),
    choices: [choice],
    ...(end.usage === undefined ? {} : { usage: toUsage(end.usage) }),
  }
}

function describe({ id, receivedMs, model }: AnswerIdentity, object: string): object {
  return { id: `chatcmpl-${id}`, object, created: Math.floor(receivedMs / 1000), model: model() }
}

/** This wire has one reasoning before one text, and one signature of either. */
function createOrder(): { take(part: AnswerPart): number } {
  const calls = new Map<string, number>()
  let hasReasoning = false
  let isSigned = false
  let hasContent = false
  return {
    take: (part) => {
      if (part.kind === 'reasoning-start') {
        if (hasReasoning || hasContent) {
          throw new AnswerNotTranslatable('the answer has reasoning between other content')
        }
        hasReasoning = true
      } else if (part.kind === 'text-signature' || part.kind === 'reasoning-signature') {
        if (isSigned) throw new AnswerNotTranslatable('the answer has more than one signature')
        isSigned = true
      } else if (part.kind === 'text') hasContent = true
      else if (part.kind === 'tool-start') {
        hasContent = true
        if (calls.has(part.id)) throw new AnswerNotTranslatable('two calls have one id')
        calls.set(part.id, calls.size)
      }
      return 'id' in part ? (calls.get(part.id) ?? 0) : 0
    },
  }
}

function toDelta(part: AnswerPart, index: number): object | undefined {
  switch (part.kind) {
    case 'text':
      return { content: part.text }
    case 'reasoning':
      return { reasoning_content: part.text }
    case 'text-signature':
    case 'reasoning-signature':
      return { extra_content: toExtra(part) }
    case 'tool-start': {
      const described = { name: part.name, arguments: '' }
      const call = { index, id: part.id, type: 'function', function: described, ...callExtra(part) }
      return { tool_calls: [call] }
    }
    case 'tool-input':
      return { tool_calls: [{ index, function: { arguments: part.text } }] }
    case 'reasoning-start':
    case 'tool-end':
    case 'finish':
    case 'error':
      return undefined
  }
}

type Signature = Extract<AnswerPart, { kind: 'text-signature' | 'reasoning-signature' }>

function isSignature(part: AnswerPart): part is Signature {
  return part.kind === 'text-signature' || part.kind === 'reasoning-signature'
}

function toCall(
  call: Extract<AnswerPart, { kind: 'tool-start' }>,
  parts: readonly AnswerPart[],
): object {
  const { id, name } = call
  const inputs = parts.filter((part) => part.kind === 'tool-input')
  const input = inputs.flatMap((part) => (part.id === id ? [part.text] : [])).join('')
  return { id, type: 'function', function: { name, arguments: input }, ...callExtra(call) }
}

/** As Google's own chat wire says it. */
function callExtra({ signature }: { readonly signature: string | undefined }): object {
  return signature === undefined
    ? {}
    : { extra_content: { google: { thought_signature: signature } } }
}

function toExtra(part: Signature): object {
  return part.kind === 'text-signature'
    ? { google: { thought_signature: part.signature } }
    : { anthropic: { thinking_signature: part.signature } }
}

function toUsage(usage: AnswerUsage | undefined): object | null {
  if (usage === undefined) return null
  const { input, cacheRead, cacheWrite, output, reasoning } = usage
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: {
      cached_tokens: cacheRead,
      ...(cacheWrite === 0 ? {} : { cache_write_tokens: cacheWrite }),
    },
    completion_tokens_details: { reasoning_tokens: reasoning },
  }
}

function toEvent(payload: object): string {
  return `data: ${JSON.stringify(payload)}\n\n`
}
