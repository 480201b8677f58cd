/** Turns a caller's request into the provider's, and proves that nothing of it was lost on the way. */
import { isDeepStrictEqual } from 'node:util'
import type { SharedV4Warning } from '@ai-sdk/provider'
import { isObject, itemsAt, objectAt, parseJson, type JsonObject } from '../metering/read-json.ts'
import type { Adapter } from './adapters.ts'
import type { CallerRequest, CallOptions, TargetWire } from './caller-request.ts'
import { NotTranslatable, refuseMember } from './members.ts'
import { readAnthropicRequest } from './read-anthropic-request.ts'
import { readChatRequest } from './read-chat-request.ts'
import { createModel, type Sdk, type SdkRequest } from './sdk.ts'
import { addMembers, parseStrictJson } from './strict-json.ts'

/** The provider's request. */
export type TranslatedRequest = {
  /** From the base URL on, query included. */
  readonly path: string
  readonly body: Buffer
  /** Those of the provider's wire; no credential. */
  readonly headers: Readonly<Record<string, string>>
  readonly caller: CallerRequest
}

/**
 * Translates a request: a pure function of its bytes and of the name that the upstream is asked for.
 *
 * @throws NotTranslatable naming the member that has no faithful counterpart.
 */
export async function translateRequest(
  sdk: Sdk,
  adapter: Adapter,
  upstreamModel: string,
  body: Buffer,
): Promise<TranslatedRequest> {
  const caller = readCallerRequest(adapter, body)
  const request = await buildRequest(sdk, adapter, upstreamModel, caller)
  refuseLosses(adapter.target, caller.options, parseJson(request.body))
  return {
    path: request.path,
    body: Buffer.from(request.body),
    headers: selectHeaders(request.headers),
    caller,
  }
}

/** @throws NotTranslatable */
function readCallerRequest({ source, target }: Adapter, body: Buffer): CallerRequest {
  const read = parseStrictJson(body.toString('utf8'))
  if (read.kind === 'fault') throw refuseMember('body', `cannot be kept as it is: ${read.fault}`)
  return source === 'openai-chat'
    ? readChatRequest(read.value, target)
    : readAnthropicRequest(read.value)
}

/** The request that the SDK makes. It gets an empty answer, because it tells its warnings only with one. */
async function buildRequest(
  sdk: Sdk,
  adapter: Adapter,
  upstreamModel: string,
  { options, isStream }: CallerRequest,
): Promise<SdkRequest> {
  const made = Promise.withResolvers<SdkRequest>()
  const model = createModel(sdk, {
    target: adapter.target,
    upstreamModel,
    generateId: () => 'unused',
    exchange: async (request) => {
      made.resolve(request)
      return emptyAnswer(adapter.target, isStream)
    },
  })
  try {
    const warnings = isStream
      ? await readStreamWarnings((await model.doStream(options)).stream)
      : (await model.doGenerate(options)).warnings
    const [warning] = warnings
    if (warning !== undefined) throw refuseWarning(adapter, warning)
  } catch (error) {
    if (error instanceof NotTranslatable || !isSdkError(error)) throw error
    throw new NotTranslatable('body', error.message.slice(0, 300), { cause: error })
  }
  return made.promise
}

async function readStreamWarnings(
  stream: Awaited<ReturnType<ReturnType<typeof createModel>['doStream']>>['stream'],
): Promise<readonly SharedV4Warning[]> {
  for await (const part of stream) if (part.type === 'stream-start') return part.warnings
  return []
}

const emptyAnswers = {
  'anthropic-messages': {
    type: 'message',
    content: [],
    usage: { input_tokens: 0, output_tokens: 0 },
  },
  'google-generate': { candidates: [] },
  'openai-chat': { choices: [{ index: 0, message: {} }] },
} as const

function emptyAnswer(target: TargetWire, isStream: boolean): Response {
  const body = isStream ? '' : JSON.stringify(emptyAnswers[target])
  const type = isStream ? 'text/event-stream' : 'application/json'
  return new Response(body, { headers: { 'content-type': type } })
}

function isSdkError(error: unknown): error is Error {
  return error instanceof Error && error.name.startsWith('AI_')
}

// Where a setting of the SDK stands on the caller's wire.
const memberNames: ReadonlyMap<string, string> = new Map([
  ['frequencyPenalty', 'frequency_penalty'],
  ['presencePenalty', 'presence_penalty'],
  ['topP', 'top_p'],
  ['topK', 'top_k'],
  ['maxOutputTokens', 'max_tokens'],
  ['responseFormat', 'response_format'],
  ['toolChoice', 'tool_choice'],
  ['strict', 'tools'],
])

function refuseWarning({ source }: Adapter, warning: SharedV4Warning): NotTranslatable {
  if (!('feature' in warning)) return refuseMember('messages', warning.message.slice(0, 300))
  const { feature } = warning
  const isFormat = feature === 'responseFormat' && source === 'anthropic-messages'
  const member = isFormat ? 'output_config' : (memberNames.get(feature) ?? feature)
  const details = 'details' in warning ? warning.details : undefined
  return details === undefined ? refuseMember(member) : refuseMember(member, details.slice(0, 300))
}

/** What the SDK changes without a word must not be taken for a translation. */
function refuseLosses(target: TargetWire, options: CallOptions, forwarded: unknown): void {
  const body = isObject(forwarded) ? forwarded : {}
  const format = options.responseFormat
  const schema = format?.type === 'json' ? format.schema : undefined
  const sent = readSchemas(target, body)
  if (schema !== undefined && !isDeepStrictEqual(schema, sent.answer)) {
    throw refuseMember(
      'the schema of the answer',
      'uses what the provider of this model does not take',
    )
  }
  for (const [index, tool] of (options.tools ?? []).entries()) {
    if (tool.type !== 'function' || !isDeepStrictEqual(tool.inputSchema, sent.tools[index])) {
      throw refuseMember(
        `tools[${index}]`,
        'has a schema that the provider of this model does not take',
      )
    }
  }
  const texts = new Set<unknown>()
  collectTexts(forwarded, texts)
  for (const text of textsOf(options)) {
    if (!texts.has(text))
      throw refuseMember('messages', 'hold a text that would reach the provider changed')
  }
}

function readSchemas(
  target: TargetWire,
  body: JsonObject,
): { readonly answer: unknown; readonly tools: readonly unknown[] } {
  const tools = itemsAt(body, 'tools').filter(isObject)
  switch (target) {
    case 'anthropic-messages':
      return {
        answer: objectAt(objectAt(body, 'output_config'), 'format')['schema'],
        tools: tools.map((tool) => tool['input_schema']),
      }
    case 'google-generate':
      return {
        answer: objectAt(body, 'generationConfig')['responseJsonSchema'],
        tools: tools
          .flatMap((tool) => itemsAt(tool, 'functionDeclarations'))
          .map((declared) => (isObject(declared) ? declared['parametersJsonSchema'] : undefined)),
      }
    case 'openai-chat':
      return {
        answer: objectAt(objectAt(body, 'response_format'), 'json_schema')['schema'],
        tools: tools.map((tool) => objectAt(tool, 'function')['parameters']),
      }
  }
}

/** Texts that a model reads, and names by which calls and results find one another. */
function* textsOf({ prompt, tools = [] }: CallOptions): Generator<string> {
  for (const tool of tools) {
    yield tool.name
    if (tool.type === 'function' && tool.description !== undefined) yield tool.description
  }
  for (const message of prompt) {
    if (message.role === 'system') yield message.content
    else for (const part of message.content) yield* textsOfPart(part)
  }
}

type Part = Exclude<CallOptions['prompt'][number], { role: 'system' }>['content'][number]

function* textsOfPart(part: Part): Generator<string> {
  switch (part.type) {
    case 'text':
    case 'reasoning':
      if (part.text !== '') yield part.text
      break
    case 'tool-call':
      yield part.toolCallId
      yield part.toolName
      break
    case 'tool-result':
      yield part.toolCallId
      if (part.output.type === 'text') yield part.output.value
      break
    // Readers make no others; a picture's data is base64 that the SDK only copies.
    case 'file':
    case 'custom':
    case 'reasoning-file':
    case 'tool-approval-response':
  }
}

function collectTexts(value: unknown, texts: Set<unknown>): void {
  const pending: unknown[] = [value]
  while (pending.length > 0) {
    const next = pending.pop()
    if (typeof next === 'string') texts.add(next)
    else if (typeof next === 'object' && next !== null) addMembers(pending, next)
  }
}

const passedHeaders = ['content-type', 'anthropic-version', 'anthropic-beta'] as const

function selectHeaders(headers: Headers): Readonly<Record<string, string>> {
  const selected: Record<string, string> = {}
  for (const name of passedHeaders) {
    const value = headers.get(name)
    if (value !== null) selected[name] = value
  }
  return selected
}
