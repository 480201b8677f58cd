/** A request of Anthropic's messages wire for a model of OpenAI (spec/translation.md TR3). */
import { isSchema, type CallerRequest, type CallOptions } from './caller-request.ts'
import { eachItem, openMembers, refuseMember, type Members } from './members.ts'
import { optional } from './optional.ts'
import { readAnthropicPrompt } from './read-anthropic-messages.ts'

type Tools = NonNullable<CallOptions['tools']>

/** @throws NotTranslatable for the first member without a faithful counterpart. */
export function readAnthropicRequest(body: unknown): CallerRequest {
  const members = openMembers(body, '')
  members.takeText('model')
  const isStream = members.takeBoolean('stream') ?? false
  members.takeNeutral('service_tier', 'auto')
  // OpenAI's wire does not say whether a sequence or the model ended the answer.
  members.takeNeutral('stop_sequences', '[]')
  for (const name of neverTaken) members.takeNeutral(name)
  const tools = readTools(members)
  const hasTools = tools.length > 0
  const choice = readToolChoice(members, hasTools)
  const userId = readUserId(members)
  const maxOutputTokens = members.takeNumber('max_tokens')
  if (maxOutputTokens === undefined) throw refuseMember('max_tokens', 'is missing')
  const options: CallOptions = {
    prompt: readAnthropicPrompt(members.take('system'), members.takeList('messages') ?? []),
    maxOutputTokens,
    ...optional('temperature', members.takeNumber('temperature')),
    ...optional('topP', members.takeNumber('top_p')),
    ...optional('topK', members.takeNumber('top_k')),
    ...optional('tools', hasTools ? tools : undefined),
    ...optional('toolChoice', choice.toolChoice),
    ...optional('responseFormat', readOutputConfig(members)),
    providerOptions: {
      openai: {
        ...(choice.isParallel ? {} : { parallelToolCalls: false }),
        ...optional('user', userId),
      },
    },
  }
  members.end()
  return { options, isStream, includesUsage: true }
}

const neverTaken = [
  'thinking',
  'container',
  'context_management',
  'inference_geo',
  'speed',
  'cache_control',
]

function readUserId(members: Members): string | undefined {
  const value = members.take('metadata')
  if (value === undefined) return undefined
  const metadata = openMembers(value, 'metadata')
  const userId = metadata.takeOptionalText('user_id')
  metadata.end()
  return userId
}

function readTools(members: Members): Tools {
  return Array.from(eachItem(members.takeList('tools') ?? [], 'tools'), ([item, path]) => {
    const tool = openMembers(item, path)
    tool.takeNeutral('type', 'custom')
    const schema = tool.take('input_schema')
    if (!isSchema(schema)) throw refuseMember(tool.at('input_schema'), 'must be a JSON schema')
    const read: Tools[number] = {
      type: 'function',
      name: tool.takeText('name'),
      ...optional('description', tool.takeOptionalText('description')),
      inputSchema: schema,
      ...optional('strict', tool.takeBoolean('strict')),
    }
    tool.end()
    return read
  })
}

function readToolChoice(
  members: Members,
  hasTools: boolean,
): { readonly toolChoice: CallOptions['toolChoice']; readonly isParallel: boolean } {
  const value = members.take('tool_choice')
  if (value === undefined) return { toolChoice: undefined, isParallel: true }
  const choice = openMembers(value, 'tool_choice')
  const type = choice.takeText('type')
  const isParallel = choice.takeBoolean('disable_parallel_tool_use') !== true
  const toolChoice = toToolChoice(type, choice)
  choice.end()
  if (hasTools) return { toolChoice, isParallel }
  if (type === 'none') return { toolChoice: undefined, isParallel: true }
  throw refuseMember('tool_choice', 'needs tools')
}

function toToolChoice(type: string, choice: Members): CallOptions['toolChoice'] {
  switch (type) {
    case 'auto':
    case 'none':
      return { type }
    case 'any':
      return { type: 'required' }
    case 'tool':
      return { type, toolName: choice.takeText('name') }
    default:
      throw refuseMember('tool_choice.type')
  }
}

function readOutputConfig(members: Members): CallOptions['responseFormat'] {
  const value = members.take('output_config')
  if (value === undefined) return undefined
  const config = openMembers(value, 'output_config')
  const formatValue = config.take('format')
  config.end()
  if (formatValue === undefined) return undefined
  const format = openMembers(formatValue, 'output_config.format')
  if (format.takeText('type') !== 'json_schema') throw refuseMember('output_config.format.type')
  const schema = format.take('schema')
  if (!isSchema(schema)) throw refuseMember('output_config.format.schema', 'must be a JSON schema')
  format.end()
  return { type: 'json', schema }
}
