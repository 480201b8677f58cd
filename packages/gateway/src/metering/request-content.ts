/** What of a request does not show in its length: attachments, and prompts that grow at the provider (ME8.3, ME8.4). */
import type { MeterWire } from './observe-usage.ts'
import { isObject, itemsAt, objectAt, type JsonObject } from './read-json.ts'

const openMembers = [
  'previous_response_id',
  'conversation',
  'prompt_cache_id',
  'previous_interaction_id',
  'cachedContent',
  'cached_content',
  'mcp_servers',
  'container',
  'web_search_options',
  'search_parameters',
] as const
const functionKeys: ReadonlySet<string> = new Set(['functionDeclarations', 'function_declarations'])
// Tools that the caller runs, in the words of the wires. All others run at the provider.
const callerTools = /^(?:function|custom|computer_|text_editor_|bash_|memory_)/

const contentMembers = [
  'messages',
  'input',
  'contents',
  'content',
  'system',
  'instructions',
  'prompt',
  'systemInstruction',
  'system_instruction',
]
// Of image calls: a picture each, whatever form it has.
const pictureMembers = ['image', 'images', 'mask'] as const
const textTypes: ReadonlySet<unknown> = new Set([
  'text',
  'input_text',
  'output_text',
  'summary_text',
  'reasoning_text',
  'refusal',
  'message',
  'reasoning',
  'thinking',
  'redacted_thinking',
  'tool_use',
  'tool_result',
  'function',
  'function_call',
  'function_call_output',
  'custom',
  'custom_tool_call',
  'custom_tool_call_output',
  'ephemeral',
])
const attachmentKeys = [
  'inlineData',
  'inline_data',
  'fileData',
  'file_data',
  'file_id',
  'image_url',
  'input_audio',
]
// Arguments and results of the caller's own functions: any JSON, always text.
const opaqueMembers: ReadonlySet<string> = new Set(['args', 'response', 'arguments'])

/** Whether the prompt can become longer than the request: by tools of the provider, or by what is stored there. */
export function isOpenEnded(json: JsonObject): boolean {
  if (openMembers.some((name) => json[name] !== undefined && json[name] !== null)) return true
  // A stored prompt of the responses wire: its text is not in the request.
  if (isObject(json['prompt'])) return true
  // Another pass over the prompt, to make it shorter.
  const management = json['context_management']
  const edits = Array.isArray(management)
    ? management
    : itemsAt(objectAt(json, 'context_management'), 'edits')
  if (edits.some((edit) => isObject(edit) && String(edit['type']).startsWith('compact')))
    return true
  return toolsOf(json).some((tool) => !isObject(tool) || runsAtProvider(tool))
}

/** Whether models beside the one that is paid for may run, at their own prices: Anthropic's fallbacks and advisors. */
export function runsOtherModels(json: JsonObject): boolean {
  const { fallbacks } = json
  const isEmpty = Array.isArray(fallbacks) && fallbacks.length === 0
  if (fallbacks !== undefined && fallbacks !== null && !isEmpty) return true
  return toolsOf(json).some((tool) => isObject(tool) && String(tool['type']).startsWith('advisor'))
}

/** All tools that are defined, also those that come in the middle of a conversation. */
function toolsOf(json: JsonObject): readonly unknown[] {
  const tools = [...itemsAt(json, 'tools')]
  for (const message of [...itemsAt(json, 'messages'), ...itemsAt(json, 'input')]) {
    if (!isObject(message)) continue
    for (const tool of itemsAt(message, 'tools')) tools.push(tool)
    for (const block of itemsAt(message, 'content')) {
      const { definition } = isObject(block) ? objectAt(block, 'tool') : {}
      if (definition !== undefined) tools.push(definition)
    }
  }
  return tools
}

/** Prompts that are answered one by one: a list of texts, or of lists of tokens. */
export function countPrompts(wire: MeterWire, json: JsonObject): number {
  if (wire !== 'openai-chat' && wire !== 'xai-chat') return 1
  const prompts = itemsAt(json, 'prompt')
  return prompts.every((prompt) => typeof prompt === 'number') ? 1 : prompts.length
}

function runsAtProvider(tool: JsonObject): boolean {
  const type = tool['type']
  if (typeof type === 'string') return !callerTools.test(type)
  // Anthropic's own tools have a type; Google's have a member for each.
  return tool['name'] === undefined && !Object.keys(tool).every((key) => functionKeys.has(key))
}

/** Parts that are no text, and parts of kinds that this version does not know. */
export function countAttachments(json: JsonObject): number {
  let count = 0
  for (const name of pictureMembers) {
    const value = json[name]
    if (value !== undefined && value !== null) count += Array.isArray(value) ? value.length : 1
  }
  const open: unknown[] = contentMembers.map((name) => json[name])
  while (open.length > 0) {
    const value = open.pop()
    if (Array.isArray(value)) for (const item of value) open.push(item)
    else if (isObject(value)) {
      if (isAttachment(value)) count++
      else
        for (const name of Object.keys(value)) {
          const isOpaque =
            opaqueMembers.has(name) || (name === 'input' && value['type'] === 'tool_use')
          if (!isOpaque) open.push(value[name])
        }
    }
  }
  return count
}

/** Whether this part is no text, or of a kind that this version does not know. */
export function isAttachment(value: JsonObject): boolean {
  if (value['type'] !== undefined && !textTypes.has(value['type'])) return true
  if (attachmentKeys.some((key) => value[key] !== undefined)) return true
  // An earlier spoken answer, taken up again by its id.
  return value['role'] === 'assistant' && isObject(value['audio'])
}
