/**
 * Finds the texts of a request that its model reads (spec/metering.md ME9.3): only what is known to become tokens, so
 * that an estimate is no more than what a provider counts. Runs in a worker.
 */
import { isObject, itemsAt, parseJson, stringify, type JsonObject } from './read-json.ts'
import { countAttachments, isAttachment } from './request-content.ts'

/** The texts of a request. */
export type RequestTexts = {
  readonly texts: readonly string[]
  /** Messages of a chat: each costs a few tokens beside its text. */
  readonly messages: number
  readonly attachments: number
}

const contentMembers = [
  'messages',
  'input',
  'contents',
  'system',
  'instructions',
  'prompt',
  'systemInstruction',
  'system_instruction',
  // Google's count and embed calls.
  'content',
]
const textMembers: ReadonlySet<string> = new Set([
  ...contentMembers,
  'arguments',
  'name',
  'output',
  'reasoning_content',
  'refusal',
  'text',
  'thinking',
])
// Arguments and results of the caller's functions: any JSON.
const jsonMembers: ReadonlySet<string> = new Set(['args', 'response'])
const schemaTexts: ReadonlySet<string> = new Set(['name', 'description'])
// Deeper than this no wire nests messages, and nobody a schema.
const maxDepth = 32

/** The texts of a request; `undefined` for a body that is no JSON. */
export function readRequestTexts(body: Uint8Array): RequestTexts | undefined {
  const json = parseJson(Buffer.from(body).toString('utf8'))
  if (!isObject(json)) return undefined
  const texts: string[] = []
  for (const name of contentMembers) collectTexts(texts, name, json[name])
  const formats = [json['response_format'], json['text'], json['output_config']]
  for (const each of [json['tools'], json['functions'], ...formats]) collectSchema(texts, each)
  return { texts, messages: countMessages(json), attachments: countAttachments(json) }
}

type Open = { readonly name: string; readonly value: unknown; readonly depth: number }

function collectTexts(texts: string[], member: string, root: unknown): void {
  const open: Open[] = [{ name: member, value: root, depth: 0 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { name, value, depth } = next
    if (typeof value === 'string') {
      if (textMembers.has(name)) texts.push(value)
    } else if (depth >= maxDepth) continue
    else if (Array.isArray(value)) {
      for (const item of value) open.push({ name, value: item, depth: depth + 1 })
    } else if (isObject(value) && !isAttachment(value)) {
      for (const [key, each] of Object.entries(value)) {
        if (isOpaque(value, key)) texts.push(stringify(each) ?? '')
        else open.push({ name: key, value: each, depth: depth + 1 })
      }
    }
  }
}

function isOpaque(value: JsonObject, key: string): boolean {
  return jsonMembers.has(key) || (key === 'input' && value['type'] === 'tool_use')
}

/** Of tools and of the forms of an answer: names, descriptions, names of members, values to choose from. */
function collectSchema(texts: string[], root: unknown): void {
  const open: Open[] = [{ name: '', value: root, depth: 0 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { name, value, depth } = next
    if (typeof value === 'string') {
      if (schemaTexts.has(name) || name === 'enum') texts.push(value)
    } else if (depth >= maxDepth) continue
    else if (Array.isArray(value)) {
      for (const item of value) open.push({ name, value: item, depth: depth + 1 })
    } else if (isObject(value)) {
      for (const [key, each] of Object.entries(value)) {
        // Below `properties` a key is the name of a member, whatever it is called.
        const isMemberName = name === 'properties'
        if (isMemberName) texts.push(key)
        open.push({ name: isMemberName ? '' : key, value: each, depth: depth + 1 })
      }
    }
  }
}

function countMessages(json: JsonObject): number {
  const inList = [...itemsAt(json, 'messages'), ...itemsAt(json, 'input')]
  const withRole = inList.filter((item) => isObject(item) && item['role'] !== undefined).length
  return withRole > 0 ? withRole : typeof json['input'] === 'string' ? 1 : 0
}
