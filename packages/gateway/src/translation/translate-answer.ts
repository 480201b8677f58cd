/** Turns the provider's bytes into the caller's: whole answers, streams, and errors (spec/translation.md TR4). */
import { hash } from 'node:crypto'
import type { LanguageModelV4StreamPart } from '@ai-sdk/provider'
import { isObject, objectAt, parseJson } from '../metering/read-json.ts'
import type { Adapter } from './adapters.ts'
import {
  AnswerNotTranslatable,
  type AnswerIdentity,
  type AnswerPart,
  type AnswerWriter,
} from './answer-part.ts'
import type { CallerRequest, CallOptions } from './caller-request.ts'
import { guardAnswer } from './guard-answer.ts'
import { createStreamReader, readContent } from './read-answer.ts'
import { createModel, type Sdk } from './sdk.ts'
import { createAnthropicBody, createAnthropicWriter } from './write-anthropic-answer.ts'
import { createChatBody, createChatWriter } from './write-chat-answer.ts'

/** What an answer is translated with. All of it is known again to whoever holds the request and the receipt. */
export type AnswerContext = {
  readonly adapter: Adapter
  readonly upstreamModel: string
  readonly caller: CallerRequest
  /** The id of the receipt, 32 hex digits. */
  readonly id: string
  readonly receivedMs: number
}

/** @throws AnswerNotTranslatable */
export async function translateWhole(
  sdk: Sdk,
  context: AnswerContext,
  body: Buffer,
): Promise<Buffer> {
  const { adapter } = context
  const { model } = guardAnswer(adapter.target, parseJson(body.toString('utf8')))
  const identity = { ...context, model: () => model ?? context.upstreamModel }
  const parts = await readWhole(sdk, context, body)
  const made =
    adapter.source === 'openai-chat'
      ? createChatBody(identity, parts)
      : createAnthropicBody(identity, parts)
  return Buffer.from(JSON.stringify(made))
}

async function readWhole(
  sdk: Sdk,
  context: AnswerContext,
  body: Buffer,
): Promise<readonly AnswerPart[]> {
  const answer = new Response(new Uint8Array(body), {
    headers: { 'content-type': 'application/json' },
  })
  try {
    const model = createAnsweringModel(sdk, context, answer)
    const { content, finishReason, usage } = await model.doGenerate(context.caller.options)
    return readContent(content, finishReason, usage)
  } catch (cause) {
    if (cause instanceof AnswerNotTranslatable) throw cause
    throw new AnswerNotTranslatable('the answer is not one that the SDK knows', { cause })
  }
}

/** Owner of one stream on its way through the SDK. */
export type StreamTranslator = {
  push(bytes: Buffer): void
  /** Never rejects. May come before the end of the bytes when nothing more can be said. */
  readonly outcome: Promise<StreamOutcome>
  /** No more bytes come. Resolves when all that they say is written. */
  end(): Promise<StreamOutcome>
}

/** `unsaid`: the stream broke off, or the caller has left. */
export type StreamOutcome =
  | { readonly kind: 'finished' }
  | { readonly kind: 'unsaid' }
  | { readonly kind: 'failed'; readonly fault: AnswerNotTranslatable }

/**
 * Translates a stream event by event: what is written depends on the bytes that were pushed, never on how they were cut
 * or when they came. `write` may be called until `end` has resolved; it says false when nobody takes more.
 */
export function createStreamTranslator(
  sdk: Sdk,
  context: AnswerContext,
  write: (bytes: Buffer) => boolean,
): StreamTranslator {
  const source = new TransformStream<Uint8Array, Uint8Array>(
    undefined,
    // The upstream is paused by whoever reads from the caller's side: nothing waits here for long.
    new CountQueuingStrategy({ highWaterMark: Number.POSITIVE_INFINITY }),
    new CountQueuingStrategy({ highWaterMark: Number.POSITIVE_INFINITY }),
  )
  const input = source.writable.getWriter()
  const answer = new Response(source.readable, { headers: { 'content-type': 'text/event-stream' } })
  const outcome = runStream(sdk, context, answer, write)
  return {
    outcome,
    push: (bytes) => {
      // A stream that was given up takes nothing more.
      input.write(bytes).catch(ignore)
    },
    end: async () => {
      input.close().catch(ignore)
      return outcome
    },
  }
}

async function runStream(
  sdk: Sdk,
  context: AnswerContext,
  answer: Response,
  write: (bytes: Buffer) => boolean,
): Promise<StreamOutcome> {
  const { adapter, caller } = context
  let served: string | undefined
  const identity: AnswerIdentity = { ...context, model: () => served ?? context.upstreamModel }
  const writer = createWriter(adapter, identity, caller)
  const reader = createStreamReader()
  let isFinished = false

  function take(part: LanguageModelV4StreamPart): boolean {
    if (part.type === 'raw') {
      const { model: named } = guardAnswer(adapter.target, part.rawValue)
      served ??= named
    }
    const parts = reader.read(part)
    const text = parts.map((read) => writer.write(read)).join('')
    isFinished ||= parts.some(({ kind }) => kind === 'finish')
    return text === '' || write(Buffer.from(text))
  }

  try {
    const model = createAnsweringModel(sdk, context, answer)
    const options = { ...caller.options, includeRawChunks: true }
    const stream = await openStream(model, options)
    for await (const part of stream) if (!take(part)) return { kind: 'unsaid' }
    return isFinished ? { kind: 'finished' } : { kind: 'unsaid' }
  } catch (cause) {
    const fault = toFault(cause)
    const error = {
      type: 'answer_not_translatable',
      message: `The answer stops here: ${fault.message}.`,
    }
    write(Buffer.from(writer.write({ kind: 'error', error })))
    return { kind: 'failed', fault }
  }
}

type Model = ReturnType<typeof createModel>

/** The SDK rejects where the first event of a stream is an error of the provider. */
async function openStream(
  model: Model,
  options: CallOptions,
): Promise<ReadableStream<LanguageModelV4StreamPart>> {
  try {
    return (await model.doStream(options)).stream
  } catch (error) {
    if (!isProviderError(error)) throw error
    const part: LanguageModelV4StreamPart = { type: 'error', error }
    return ReadableStream.from([part])
  }
}

function isProviderError(error: unknown): boolean {
  return error instanceof Error && error.name === 'AI_APICallError'
}

function toFault(cause: unknown): AnswerNotTranslatable {
  if (cause instanceof AnswerNotTranslatable) return cause
  return new AnswerNotTranslatable('it is not one that the SDK knows', { cause })
}

function createWriter(
  { source }: Adapter,
  identity: AnswerIdentity,
  { includesUsage }: CallerRequest,
): AnswerWriter {
  return source === 'openai-chat'
    ? createChatWriter(identity, { includesUsage })
    : createAnthropicWriter(identity)
}

function createAnsweringModel(
  sdk: Sdk,
  { adapter, upstreamModel, id }: AnswerContext,
  answer: Response,
): Model {
  let count = 0
  return createModel(sdk, {
    target: adapter.target,
    upstreamModel,
    exchange: async () => answer,
    // Google's calls may have no id; the caller needs one, and whoever replays must find the same.
    generateId: () => `call_${hash('sha256', `${id}/${count++}`, 'hex').slice(0, 24)}`,
  })
}

const anthropicTypes: ReadonlyMap<number, string> = new Map([
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [503, 'overloaded_error'],
  [529, 'overloaded_error'],
])
const maxMessageLength = 4096

/** An error that the provider answered with, under its own status, as an error of the caller's wire. */
export function translateError({ source }: Adapter, status: number, body: Buffer): Buffer {
  const json = parseJson(body.toString('utf8'))
  const error = isObject(json) ? objectAt(json, 'error') : {}
  const said = error['message']
  const message =
    typeof said === 'string'
      ? said.slice(0, maxMessageLength)
      : `The provider answered with status ${status}.`
  if (source === 'anthropic-messages') {
    const known =
      anthropicTypes.get(status) ?? (status < 500 ? 'invalid_request_error' : 'api_error')
    return toBytes({ type: 'error', error: { type: known, message }, request_id: null })
  }
  const type = status < 500 ? 'invalid_request_error' : 'server_error'
  const code = [error['status'], error['type']].find((name) => typeof name === 'string') ?? null
  return toBytes({ error: { message, type, param: null, code } })
}

function toBytes(value: object): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function ignore(): void {
  // What the stream came to is said by its outcome.
}
