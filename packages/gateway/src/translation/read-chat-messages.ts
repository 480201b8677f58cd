/** `messages` of OpenAI's chat wire, as a prompt. */
import type { CallOptions, PromptMessage, TargetWire } from './caller-request.ts'
import { eachItem, openMembers, refuseMember, type Members } from './members.ts'
import { readImageUrl } from './read-image.ts'
import { parseStrictJson } from './strict-json.ts'

type AssistantPart = Extract<PromptMessage, { role: 'assistant' }>['content'][number]
type UserPart = Extract<PromptMessage, { role: 'user' }>['content'][number]
type ToolPart = Extract<PromptMessage, { role: 'tool' }>['content'][number]

/** Reads the list. Results of calls that stand side by side are one message of the prompt. */
export function readChatMessages(
  list: readonly unknown[],
  target: TargetWire,
): CallOptions['prompt'] {
  const reader = createReader(target)
  for (const [item, path] of eachItem(list, 'messages')) reader.take(openMembers(item, path), path)
  return reader.prompt()
}

/** Owns the prompt that grows. */
function createReader(target: TargetWire): {
  take(message: Members, path: string): void
  prompt(): CallOptions['prompt']
} {
  const prompt: PromptMessage[] = []
  const toolNames = new Map<string, string>()

  function take(message: Members, path: string): void {
    const role = message.takeText('role')
    if (role === 'user') prompt.push({ role, content: readUserParts(message, target) })
    else if (role === 'assistant') prompt.push(readAssistant(message, target, toolNames))
    else if (role === 'tool') addToolResult(prompt, readToolResult(message, toolNames))
    else if (role === 'system' || role === 'developer') {
      if (prompt.some((earlier) => earlier.role !== 'system')) {
        throw refuseMember(
          path,
          'stands behind other messages, where this model takes no instructions',
        )
      }
      for (const text of readTexts(message)) prompt.push({ role: 'system', content: text })
    } else throw refuseMember(message.at('role'))
    message.end()
  }

  return {
    take,
    prompt: () => {
      const last = prompt.at(-1)
      if (last?.role !== 'user' && last?.role !== 'tool') {
        throw refuseMember('messages', 'must end with a message of the user or of a tool')
      }
      return prompt
    },
  }
}

function readUserParts(message: Members, target: TargetWire): UserPart[] {
  const content = message.take('content')
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  if (!Array.isArray(content)) throw refuseMember(message.at('content'), 'must be text or a list')
  const parts: UserPart[] = []
  for (const [item, path] of eachItem(content, message.at('content'))) {
    const part = openMembers(item, path)
    const type = part.takeText('type')
    if (type === 'text') parts.push({ type, text: part.takeText('text') })
    else if (type === 'image_url') parts.push(readImagePart(part, target))
    else throw refuseMember(part.at('type'))
    part.end()
  }
  if (parts.length === 0) throw refuseMember(message.at('content'), 'is empty')
  return parts
}

function readImagePart(part: Members, target: TargetWire): UserPart {
  const image = openMembers(part.take('image_url'), part.at('image_url'))
  image.takeNeutral('detail', 'auto')
  const url = image.takeText('url')
  image.end()
  return readImageUrl(url, target, image.at('url'))
}

/** Text as a string, or as a list of text parts. */
function readTexts(message: Members): readonly string[] {
  const content = message.take('content')
  if (typeof content === 'string') return [content]
  if (!Array.isArray(content)) throw refuseMember(message.at('content'), 'must be text')
  return Array.from(eachItem(content, message.at('content')), ([item, path]) => {
    const part = openMembers(item, path)
    part.takeNeutral('type', 'text')
    const text = part.takeText('text')
    part.end()
    return text
  })
}

function readAssistant(
  message: Members,
  target: TargetWire,
  toolNames: Map<string, string>,
): PromptMessage {
  // What clients send back of an answer without having been told to.
  for (const name of ['refusal', 'audio', 'function_call']) message.takeNeutral(name)
  message.takeNeutral('annotations', '[]')
  const extra = openExtra(message, target)
  const content: AssistantPart[] = []
  addReasoning(content, message, extra, target)
  const text = readAnswerText(message)
  const signature =
    target === 'google-generate' ? extra?.takeOptionalText('thought_signature') : undefined
  if (text !== undefined && text !== '') {
    content.push({ type: 'text', text, ...signed(signature) })
  } else if (signature !== undefined) content.push({ type: 'text', text: '', ...signed(signature) })
  for (const [item, path] of eachItem(
    message.takeList('tool_calls') ?? [],
    message.at('tool_calls'),
  )) {
    content.push(readToolCall(openMembers(item, path), target, toolNames))
  }
  extra?.end()
  if (content.length === 0) throw refuseMember(message.at('content'), 'is missing')
  return { role: 'assistant', content }
}

/** One text: an answer of this wire has one, so boundaries between several would be lost. */
function readAnswerText(message: Members): string | undefined {
  const content = message.take('content')
  if (content === undefined || typeof content === 'string') return content
  const list: readonly unknown[] = Array.isArray(content) ? content : []
  const [item, ...others] = list
  if (others.length > 0) throw refuseMember(message.at('content'), 'has more than one part')
  const part = openMembers(item, `${message.at('content')}[0]`)
  part.takeNeutral('type', 'text')
  const text = part.takeText('text')
  part.end()
  return text
}

/** Claude's thinking, as an earlier answer gave it (`reasoning_content` and its signature). */
function addReasoning(
  content: AssistantPart[],
  message: Members,
  extra: Members | undefined,
  target: TargetWire,
): void {
  const text = message.takeOptionalText('reasoning_content')
  const signature =
    target === 'anthropic-messages' ? extra?.takeOptionalText('thinking_signature') : undefined
  if (signature !== undefined) {
    const providerOptions = { anthropic: { signature } }
    content.push({ type: 'reasoning', text: text ?? '', providerOptions })
  } else if (text !== undefined) {
    throw refuseMember(message.at('reasoning_content'), 'has no signature of this provider')
  }
}

function readToolCall(
  call: Members,
  target: TargetWire,
  toolNames: Map<string, string>,
): AssistantPart {
  const toolCallId = call.takeText('id')
  call.takeNeutral('type', 'function')
  const described = openMembers(call.take('function'), call.at('function'))
  const toolName = described.takeText('name')
  const input = readArguments(described.takeText('arguments'), described.at('arguments'))
  described.end()
  const extra = openExtra(call, target)
  const signature =
    target === 'google-generate' ? extra?.takeOptionalText('thought_signature') : undefined
  extra?.end()
  call.end()
  if (toolNames.has(toolCallId)) throw refuseMember(call.at('id'), 'stands twice')
  toolNames.set(toolCallId, toolName)
  return { type: 'tool-call', toolCallId, toolName, input, ...signed(signature) }
}

function readArguments(text: string, path: string): unknown {
  const read = parseStrictJson(text)
  if (read.kind === 'fault') throw refuseMember(path, `cannot be kept as it is: ${read.fault}`)
  const { value } = read
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refuseMember(path, 'must be a JSON object')
  }
  return value
}

function readToolResult(message: Members, toolNames: ReadonlyMap<string, string>): ToolPart {
  const toolCallId = message.takeText('tool_call_id')
  const toolName = toolNames.get(toolCallId)
  if (toolName === undefined) {
    throw refuseMember(message.at('tool_call_id'), 'answers no call of an earlier message')
  }
  const [value, ...others] = readTexts(message)
  if (value === undefined || others.length > 0) {
    throw refuseMember(message.at('content'), 'must be one text')
  }
  return { type: 'tool-result', toolCallId, toolName, output: { type: 'text', value } }
}

function addToolResult(prompt: PromptMessage[], result: ToolPart): void {
  const last = prompt.at(-1)
  if (last?.role === 'tool') last.content.push(result)
  else prompt.push({ role: 'tool', content: [result] })
}

/** `extra_content`: what this wire has no member for, by provider. Only that of the provider that is asked is taken. */
function openExtra(members: Members, target: TargetWire): Members | undefined {
  const value = members.take('extra_content')
  if (value === undefined) return undefined
  const extra = openMembers(value, members.at('extra_content'))
  const name = target === 'google-generate' ? 'google' : 'anthropic'
  const own = extra.take(name)
  extra.end()
  return own === undefined ? undefined : openMembers(own, extra.at(name))
}

function signed(thoughtSignature: string | undefined): {
  readonly providerOptions?: { readonly google: { readonly thoughtSignature: string } }
} {
  return thoughtSignature === undefined ? {} : { providerOptions: { google: { thoughtSignature } } }
}
