/** A request of OpenAI's chat wire for a model of Anthropic or Google (spec/translation.md TR3). */
import type { CallerRequest, CallOptions, TargetWire } from './caller-request.ts'
import { isSchema } from './caller-request.ts'
import { eachItem, openMembers, refuseMember, type Members } from './members.ts'
import { optional } from './optional.ts'
import { readChatMessages } from './read-chat-messages.ts'

type Tools = NonNullable<CallOptions['tools']>

/** @throws NotTranslatable for the first member without a faithful counterpart. */
export function readChatRequest(body: unknown, target: TargetWire): CallerRequest {
  const members = openMembers(body, '')
  members.takeText('model')
  const isStream = members.takeBoolean('stream') ?? false
  const includesUsage = readStreamOptions(members, isStream)
  refuseOthers(members, target)
  const tools = readTools(members)
  const hasTools = tools.length > 0
  const options: CallOptions = {
    prompt: readChatMessages(members.takeList('messages') ?? [], target),
    ...optional('maxOutputTokens', readLimit(members)),
    ...optional('temperature', members.takeNumber('temperature')),
    ...optional('topP', members.takeNumber('top_p')),
    ...optional('frequencyPenalty', nonZero(members.takeNumber('frequency_penalty'))),
    ...optional('presencePenalty', nonZero(members.takeNumber('presence_penalty'))),
    ...optional('seed', members.takeNumber('seed')),
    ...optional('stopSequences', readStop(members)),
    ...optional('tools', hasTools ? tools : undefined),
    ...optional('toolChoice', readToolChoice(members, hasTools)),
    ...optional('responseFormat', readResponseFormat(members)),
    ...(target === 'anthropic-messages'
      ? { providerOptions: { anthropic: readForAnthropic(members, hasTools) } }
      : {}),
  }
  members.end()
  return { options, isStream, includesUsage }
}

/** Members that may stand only with what their absence says. */
function refuseOthers(members: Members, target: TargetWire): void {
  members.takeNeutral('n', 1)
  members.takeNeutral('logprobs', false)
  members.takeNeutral('store', false)
  members.takeNeutral('service_tier', 'auto', 'default')
  members.takeNeutral('functions', '[]')
  for (const name of neverTaken) members.takeNeutral(name)
  if (target === 'google-generate') {
    members.takeNeutral('parallel_tool_calls', true)
    members.takeNeutral('user')
  }
}

// Null is how some clients leave a member out.
const neverTaken = [
  'top_logprobs',
  'logit_bias',
  'metadata',
  'modalities',
  'audio',
  'prediction',
  'function_call',
  'web_search_options',
  'reasoning_effort',
  'verbosity',
  'prompt_cache_key',
  'safety_identifier',
]

type AnthropicOptions = NonNullable<CallOptions['providerOptions']>[string]

function readForAnthropic(members: Members, hasTools: boolean): AnthropicOptions {
  const isParallel = members.takeBoolean('parallel_tool_calls') ?? true
  if (!isParallel && !hasTools) throw refuseMember('parallel_tool_calls', 'needs tools')
  const userId = members.takeOptionalText('user')
  return {
    // Neither an emulation of schemas by a tool nor a form of streaming that nobody asked for.
    structuredOutputMode: 'outputFormat',
    toolStreaming: false,
    ...(isParallel ? {} : { disableParallelToolUse: true }),
    ...(userId === undefined ? {} : { metadata: { userId } }),
  }
}

function readStreamOptions(members: Members, isStream: boolean): boolean {
  const value = members.take('stream_options')
  if (value === undefined) return false
  if (!isStream) throw refuseMember('stream_options', 'needs "stream": true')
  const options = openMembers(value, 'stream_options')
  options.takeNeutral('include_obfuscation', false)
  const includesUsage = options.takeBoolean('include_usage') ?? false
  options.end()
  return includesUsage
}

function readLimit(members: Members): number | undefined {
  const old = members.takeNumber('max_tokens')
  const limit = members.takeNumber('max_completion_tokens')
  if (old !== undefined && limit !== undefined && old !== limit) {
    throw refuseMember('max_tokens', 'says another limit than "max_completion_tokens"')
  }
  return limit ?? old
}

function nonZero(penalty: number | undefined): number | undefined {
  return penalty === 0 ? undefined : penalty
}

function readStop(members: Members): string[] | undefined {
  const stop = members.take('stop')
  if (stop === undefined) return undefined
  const list: unknown = typeof stop === 'string' ? [stop] : stop
  if (!Array.isArray(list)) throw refuseMember('stop', 'must be a string or a list of strings')
  if (list.length === 0) return undefined
  return Array.from(eachItem(list, 'stop'), ([text, path]) => {
    if (typeof text !== 'string') throw refuseMember(path, 'must be a string')
    return text
  })
}

function readTools(members: Members): Tools {
  return Array.from(eachItem(members.takeList('tools') ?? [], 'tools'), ([item, path]) => {
    const tool = openMembers(item, path)
    tool.takeNeutral('type', 'function')
    const described = openMembers(tool.take('function'), tool.at('function'))
    const schema = described.take('parameters') ?? { type: 'object', properties: {} }
    if (!isSchema(schema)) throw refuseMember(described.at('parameters'), 'must be a JSON schema')
    const read: Tools[number] = {
      type: 'function',
      name: described.takeText('name'),
      ...optional('description', described.takeOptionalText('description')),
      inputSchema: schema,
      ...optional('strict', described.takeBoolean('strict')),
    }
    described.end()
    tool.end()
    return read
  })
}

function readToolChoice(members: Members, hasTools: boolean): CallOptions['toolChoice'] {
  const choice = members.take('tool_choice')
  if (choice === undefined) return undefined
  if (!hasTools) {
    if (choice === 'auto' || choice === 'none') return undefined
    throw refuseMember('tool_choice', 'needs tools')
  }
  if (choice === 'auto' || choice === 'none' || choice === 'required') return { type: choice }
  if (typeof choice === 'string') throw refuseMember('tool_choice')
  const named = openMembers(choice, 'tool_choice')
  named.takeNeutral('type', 'function')
  const called = openMembers(named.take('function'), named.at('function'))
  const toolName = called.takeText('name')
  called.end()
  named.end()
  return { type: 'tool', toolName }
}

function readResponseFormat(members: Members): CallOptions['responseFormat'] {
  const value = members.take('response_format')
  if (value === undefined) return undefined
  const format = openMembers(value, 'response_format')
  const type = format.takeText('type')
  if (type === 'text' || type === 'json_object') {
    format.end()
    return type === 'text' ? undefined : { type: 'json' }
  }
  if (type !== 'json_schema') throw refuseMember('response_format.type')
  const described = openMembers(format.take('json_schema'), 'response_format.json_schema')
  format.end()
  // A label that neither wire shows to the model.
  const name = described.takeText('name')
  // The schema holds in any case: both providers enforce it.
  described.takeBoolean('strict')
  const schema = described.take('schema')
  if (!isSchema(schema)) throw refuseMember(described.at('schema'), 'must be a JSON schema')
  described.end()
  return { type: 'json', schema, name }
}
