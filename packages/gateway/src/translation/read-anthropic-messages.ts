/** `system` and `messages` of Anthropic's wire, as a prompt for a model of OpenAI's chat wire. */
import type { CallOptions, PromptMessage } from './caller-request.ts'
import { eachItem, openMembers, refuseMember, type Members } from './members.ts'
import { readImageData, readImageUrl } from './read-image.ts'

type UserPart = Extract<PromptMessage, { role: 'user' }>['content'][number]
type AssistantPart = Extract<PromptMessage, { role: 'assistant' }>['content'][number]
type ToolPart = Extract<PromptMessage, { role: 'tool' }>['content'][number]

/** Reads both. */
export function readAnthropicPrompt(
  system: unknown,
  list: readonly unknown[],
): CallOptions['prompt'] {
  const prompt: PromptMessage[] = readTexts(system, 'system').map((content) => ({
    role: 'system',
    content,
  }))
  const toolNames = new Map<string, string>()
  for (const [item, path] of eachItem(list, 'messages')) {
    const message = openMembers(item, path)
    const role = message.takeText('role')
    const content = toBlocks(message)
    message.end()
    if (role === 'user') addUserMessages(prompt, content, toolNames)
    else if (role === 'assistant') prompt.push(readAssistant(content, toolNames))
    else throw refuseMember(message.at('role'))
  }
  const last = prompt.at(-1)
  if (last?.role !== 'user' && last?.role !== 'tool') {
    // To begin the answer for the model is a feature of Anthropic's wire.
    throw refuseMember('messages', 'must end with a message of the user')
  }
  return prompt
}

/** A string, or a list of text blocks, each of them a text of its own. */
function readTexts(value: unknown, path: string): readonly string[] {
  if (value === undefined || value === null) return []
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) throw refuseMember(path, 'must be text or a list of texts')
  return Array.from(eachItem(value, path), ([item, at]) => {
    const block = openMembers(item, at)
    block.takeNeutral('type', 'text')
    const text = readTextBlock(block)
    block.end()
    return text
  })
}

function readTextBlock(block: Members): string {
  block.takeNeutral('citations', '[]')
  return block.takeText('text')
}

type Block = { readonly type: string; readonly members: Members }

function toBlocks(message: Members): readonly Block[] {
  const content = message.take('content')
  const list: unknown = typeof content === 'string' ? [{ type: 'text', text: content }] : content
  if (!Array.isArray(list)) throw refuseMember(message.at('content'), 'must be text or a list')
  if (list.length === 0) throw refuseMember(message.at('content'), 'is empty')
  return Array.from(eachItem(list, message.at('content')), ([item, path]) => {
    const members = openMembers(item, path)
    return { type: members.takeText('type'), members }
  })
}

/** OpenAI's wire has a role for results of tools: they stand before what the user says. */
function addUserMessages(
  prompt: PromptMessage[],
  blocks: readonly Block[],
  toolNames: ReadonlyMap<string, string>,
): void {
  const results: ToolPart[] = []
  const parts: UserPart[] = []
  for (const { type, members } of blocks) {
    if (type === 'tool_result') {
      if (parts.length > 0) throw refuseMember(members.at('type'), 'stands behind other content')
      results.push(readToolResult(members, toolNames))
    } else if (type === 'text') parts.push({ type, text: readTextBlock(members) })
    else if (type === 'image') parts.push(readImage(members))
    else throw refuseMember(members.at('type'))
    members.end()
  }
  if (results.length > 0) prompt.push({ role: 'tool', content: results })
  if (parts.length > 0) prompt.push({ role: 'user', content: parts })
}

function readImage(block: Members): UserPart {
  const source = openMembers(block.take('source'), block.at('source'))
  const type = source.takeText('type')
  const path = block.at('source')
  if (type === 'url') {
    const url = source.takeText('url')
    source.end()
    if (url.startsWith('data:')) throw refuseMember(path, 'must be an https address')
    return readImageUrl(url, 'openai-chat', path)
  }
  if (type !== 'base64') throw refuseMember(source.at('type'))
  const part = readImageData(source.takeText('data'), source.takeText('media_type'), path)
  source.end()
  return part
}

function readToolResult(block: Members, toolNames: ReadonlyMap<string, string>): ToolPart {
  const toolCallId = block.takeText('tool_use_id')
  const toolName = toolNames.get(toolCallId)
  if (toolName === undefined) {
    throw refuseMember(block.at('tool_use_id'), 'answers no call of an earlier message')
  }
  // OpenAI's wire has no mark for an error: the SDK says {"error": text} in place of the text.
  const isError = block.takeBoolean('is_error') ?? false
  const [value, ...others] = readTexts(block.take('content'), block.at('content'))
  if (others.length > 0) throw refuseMember(block.at('content'), 'has more than one text')
  const type = isError ? 'error-text' : 'text'
  return { type: 'tool-result', toolCallId, toolName, output: { type, value: value ?? '' } }
}

/** One text and then calls: the only order that OpenAI's wire keeps. */
function readAssistant(blocks: readonly Block[], toolNames: Map<string, string>): PromptMessage {
  const content: AssistantPart[] = []
  for (const { type, members } of blocks) {
    if (type === 'text') {
      if (content.length > 0) throw refuseMember(members.at('type'), 'stands behind other content')
      content.push({ type, text: readTextBlock(members) })
    } else if (type === 'tool_use') content.push(readToolUse(members, toolNames))
    else throw refuseMember(members.at('type'))
    members.end()
  }
  return { role: 'assistant', content }
}

function readToolUse(block: Members, toolNames: Map<string, string>): AssistantPart {
  const toolCallId = block.takeText('id')
  const toolName = block.takeText('name')
  const input = block.take('input')
  if (typeof input !== 'object' || Array.isArray(input)) {
    throw refuseMember(block.at('input'), 'must be an object')
  }
  if (toolNames.has(toolCallId)) throw refuseMember(block.at('id'), 'stands twice')
  toolNames.set(toolCallId, toolName)
  return { type: 'tool-call', toolCallId, toolName, input }
}
