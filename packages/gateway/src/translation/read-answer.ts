/** The SDK's view of an answer, as parts: what it adds is left out, what cannot be said is refused. */
import type {
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
  SharedV4ProviderMetadata,
} from '@ai-sdk/provider'
import { parseJson } from '../metering/read-json.ts'
import {
  AnswerNotTranslatable,
  type AnswerError,
  type AnswerPart,
  type AnswerUsage,
  type FinishReason,
} from './answer-part.ts'

/** Reads the parts of one stream; owns the inputs of calls under way. */
export type StreamReader = { read(part: LanguageModelV4StreamPart): readonly AnswerPart[] }

/** A reader of one stream. */
export function createStreamReader(): StreamReader {
  const inputs = new Map<string, string>()

  function readTool(part: ToolPart): readonly AnswerPart[] {
    switch (part.type) {
      case 'tool-input-start':
        inputs.set(part.id, '')
        return [toolStart(part.id, part.toolName, part.providerMetadata)]
      case 'tool-input-delta':
        inputs.set(part.id, `${inputs.get(part.id) ?? ''}${part.delta}`)
        return [{ kind: 'tool-input', id: part.id, text: part.delta }]
      case 'tool-call':
        return endCall(inputs, part.toolCallId, part.input)
    }
  }

  return {
    read: (part) => {
      if (isToolPart(part)) return readTool(part)
      if (part.type === 'finish') return toFinish(part.finishReason, part.usage)
      if (part.type === 'error') return [{ kind: 'error', error: toAnswerError(part.error) }]
      return readSaid(part)
    },
  }
}

type ToolPart = Extract<
  LanguageModelV4StreamPart,
  { type: 'tool-input-start' | 'tool-input-delta' | 'tool-call' }
>

function isToolPart(part: LanguageModelV4StreamPart): part is ToolPart {
  return (
    part.type === 'tool-input-start' ||
    part.type === 'tool-input-delta' ||
    part.type === 'tool-call'
  )
}

// What they end is known by what follows; what they announce was read from the provider's own JSON.
const silentParts: ReadonlySet<string> = new Set([
  'text-end',
  'reasoning-end',
  'tool-input-end',
  'stream-start',
  'response-metadata',
  'ping',
  'raw',
])

function readSaid(part: LanguageModelV4StreamPart): readonly AnswerPart[] {
  if (part.type === 'text-delta') {
    return [...toText(part.delta), ...textSignature(part.providerMetadata)]
  }
  if (part.type === 'reasoning-start') {
    refuseRedacted(part.providerMetadata)
    return [{ kind: 'reasoning-start' }]
  }
  if (part.type === 'reasoning-delta') {
    return [...toReasoning(part.delta), ...toReasoningSignature(part.providerMetadata)]
  }
  // Google's signature of the first piece stands here too: it is read with the piece.
  if (part.type === 'text-start' || silentParts.has(part.type)) return []
  if (part.type === 'custom' && part.kind === 'anthropic.message_start') return []
  throw refusePart(part.type)
}

/** The parts of a whole answer. */
export function readContent(
  content: readonly LanguageModelV4Content[],
  finishReason: LanguageModelV4FinishReason,
  usage: LanguageModelV4Usage,
): readonly AnswerPart[] {
  const parts = content.flatMap((item) => readItem(item))
  return [...parts, ...toFinish(finishReason, usage)]
}

function readItem(item: LanguageModelV4Content): readonly AnswerPart[] {
  if (item.type === 'text') return [...toText(item.text), ...textSignature(item.providerMetadata)]
  if (item.type === 'reasoning') {
    refuseRedacted(item.providerMetadata)
    return [
      { kind: 'reasoning-start' },
      ...toReasoning(item.text),
      ...toReasoningSignature(item.providerMetadata),
    ]
  }
  if (item.type !== 'tool-call') throw refusePart(item.type)
  return [
    toolStart(item.toolCallId, item.toolName, item.providerMetadata),
    { kind: 'tool-input', id: item.toolCallId, text: item.input },
    { kind: 'tool-end', id: item.toolCallId },
  ]
}

function toText(text: string): readonly AnswerPart[] {
  return text === '' ? [] : [{ kind: 'text', text }]
}

function textSignature(metadata: SharedV4ProviderMetadata | undefined): readonly AnswerPart[] {
  const signature = textAt(metadata, 'google', 'thoughtSignature')
  return signature === undefined ? [] : [{ kind: 'text-signature', signature }]
}

function toReasoning(text: string): readonly AnswerPart[] {
  return text === '' ? [] : [{ kind: 'reasoning', text }]
}

function toReasoningSignature(
  metadata: SharedV4ProviderMetadata | undefined,
): readonly AnswerPart[] {
  const signature = textAt(metadata, 'anthropic', 'signature')
  return signature === undefined ? [] : [{ kind: 'reasoning-signature', signature }]
}

function refuseRedacted(metadata: SharedV4ProviderMetadata | undefined): void {
  if (textAt(metadata, 'anthropic', 'redactedData') !== undefined) {
    throw new AnswerNotTranslatable('the answer has reasoning that is hidden')
  }
}

function toolStart(
  id: string,
  name: string,
  metadata: SharedV4ProviderMetadata | undefined,
): AnswerPart {
  return { kind: 'tool-start', id, name, signature: textAt(metadata, 'google', 'thoughtSignature') }
}

function endCall(inputs: Map<string, string>, id: string, input: string): readonly AnswerPart[] {
  const streamed = inputs.get(id)
  inputs.delete(id)
  // A call without input is one without a delta.
  if (streamed === '' && input === '{}') {
    return [
      { kind: 'tool-input', id, text: input },
      { kind: 'tool-end', id },
    ]
  }
  if (streamed !== input) throw new AnswerNotTranslatable('a call does not say what it said before')
  return [{ kind: 'tool-end', id }]
}

const finishReasons: ReadonlyMap<string, FinishReason> = new Map([
  ['stop', 'stop'],
  ['length', 'length'],
  ['tool-calls', 'tool-calls'],
  ['content-filter', 'content-filter'],
])

/** Nothing for a stream that broke off: its caller must see that it did. */
function toFinish(
  { unified, raw }: LanguageModelV4FinishReason,
  usage: LanguageModelV4Usage,
): readonly AnswerPart[] {
  if (unified === 'interrupted' || (unified === 'error' && raw === undefined)) return []
  const reason = finishReasons.get(unified)
  if (reason === undefined) {
    throw new AnswerNotTranslatable('the answer ended for a reason that this wire cannot say')
  }
  return [{ kind: 'finish', reason, usage: toUsage(usage) }]
}

function toUsage({ inputTokens, outputTokens }: LanguageModelV4Usage): AnswerUsage | undefined {
  const { total: input } = inputTokens
  const { total: output } = outputTokens
  if (input === undefined || output === undefined) return undefined
  return {
    input,
    cacheRead: inputTokens.cacheRead ?? 0,
    cacheWrite: inputTokens.cacheWrite ?? 0,
    output,
    reasoning: outputTokens.reasoning ?? 0,
  }
}

/** What an error within a stream says. */
function toAnswerError(error: unknown): AnswerError {
  // Of an error that begins a stream the SDK keeps the text alone.
  const begun = parseJson(textOf(error, 'responseBody') ?? '')
  const type = textOf(error, 'type') ?? textOf(begun, 'type') ?? 'upstream_error'
  const message = textOf(error, 'message') ?? 'The provider ended the answer with an error.'
  return { type, message }
}

function textOf(value: unknown, name: string): string | undefined {
  const member = memberOf(value, name)
  return typeof member === 'string' ? member : undefined
}

/** Own or not: the message of an error is not listed among its members. */
function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}

function textAt(
  metadata: SharedV4ProviderMetadata | undefined,
  provider: string,
  name: string,
): string | undefined {
  const value = metadata?.[provider]?.[name]
  return typeof value === 'string' ? value : undefined
}

function refusePart(type: string): AnswerNotTranslatable {
  return new AnswerNotTranslatable(`the answer has a part of the kind ${type}`)
}
