/**
 * What a request may not use, because all callers share the operator's account at the provider: whatever is kept there
 * under an id can be used by everybody who learns the id. Ids that this gateway saw itself are checked against their
 * owner; for all others nobody can say whose they are (docs/decisions/2026-11-21-shared-account.md).
 */
import { CallRefused, refuse } from '../call/call-refused.ts'
import { scanTopLevel, type MemberSpan } from '../call/scan-json.ts'
import { isNothingAt, readStringAt, visitMembers } from '../call/visit-members.ts'
import type { Dialect, Wire } from '../http/wire-routes.ts'
import { scanItems } from '../metering/scan-items.ts'

type RefusedUse = { readonly kind: 'refused'; readonly why: string }

/** `refused`: why; `reference`: the value is an id that must be the caller's own; `skill`: refused unless everybody has it. */
type Rule = RefusedUse | { readonly kind: 'reference' | 'uri' | 'skill' }

type Rules = {
  /** By member name; only at the top when `parent` is '', only below that member when it is given. */
  readonly members: ReadonlyMap<string, { readonly parent?: string; readonly rule: Rule }>
  readonly opaque: ReadonlySet<string>
}

const reference: Rule = { kind: 'reference' }
const files: RefusedUse = {
  kind: 'refused',
  why: 'Files kept at the provider belong to the account of the operator: send the file in the request.',
}
const stores: RefusedUse = {
  kind: 'refused',
  why: 'Vector stores and search stores belong to the account of the operator.',
}
const conversations: RefusedUse = {
  kind: 'refused',
  why: 'Conversations are kept in the account of the operator: send the messages, or previous_response_id.',
}
const background: RefusedUse = {
  kind: 'refused',
  why: 'A call in the background outlives its payment and its receipt.',
}
const prompts: RefusedUse = {
  kind: 'refused',
  why: 'Prompts kept at the provider belong to the account of the operator: send the text.',
}
const audio: RefusedUse = {
  kind: 'refused',
  why: 'Earlier spoken answers are kept in the account of the operator: send their transcript.',
}
const caches: RefusedUse = {
  kind: 'refused',
  why: 'Cached content belongs to the account of the operator: send the content.',
}

const tunnels: RefusedUse = {
  kind: 'refused',
  why: 'Tunnels lead to servers that belong to the account of the operator.',
}
const threads: RefusedUse = {
  kind: 'refused',
  why: 'Threads and earlier messages are kept in the account of the operator: send the messages.',
}
const skills: RefusedUse = {
  kind: 'refused',
  why: 'Skills kept at the provider belong to the account of the operator.',
}

const rulesByDialect: Readonly<Record<Dialect, Rules>> = {
  openai: {
    members: new Map([
      ['file_id', { rule: files }],
      ['file_ids', { rule: files }],
      ['vector_store_ids', { rule: stores }],
      ['container', { rule: reference }],
      ['container_id', { rule: reference }],
      ['previous_response_id', { rule: reference }],
      ['comparison_response_id', { rule: reference }],
      ['skill_id', { rule: { kind: 'skill' } }],
      ['tunnel_id', { rule: tunnels }],
      ['conversation', { rule: conversations, parent: '' }],
      ['background', { rule: background, parent: '' }],
      ['deferred', { rule: background, parent: '' }],
      ['id', { rule: audio, parent: 'audio' }],
    ]),
    opaque: new Set(['parameters', 'schema', 'metadata', 'annotations']),
  },
  anthropic: {
    members: new Map([
      ['file_id', { rule: files }],
      ['container', { rule: reference, parent: '' }],
      ['id', { rule: reference, parent: 'container' }],
      ['thread', { rule: threads, parent: '' }],
      ['previous_message_id', { rule: threads }],
      ['skill_id', { rule: { kind: 'skill' } }],
    ]),
    opaque: new Set(['input', 'input_schema', 'schema']),
  },
  google: {
    members: new Map([
      ['cachedContent', { rule: caches }],
      ['cached_content', { rule: caches }],
      ['fileUri', { rule: { kind: 'uri' } }],
      ['file_uri', { rule: { kind: 'uri' } }],
      ['fileSearchStoreNames', { rule: stores }],
      ['file_search_store_names', { rule: stores }],
    ]),
    opaque: new Set([
      'args',
      'response',
      'parameters',
      'parametersJsonSchema',
      'parameters_json_schema',
      'responseSchema',
      'response_schema',
      'responseJsonSchema',
      'response_json_schema',
    ]),
  },
}

// A member of one of these names, in any form that JSON has, makes a body worth a closer look. Most have none; one pass
// over a text costs a tenth of a search for each name in the bytes.
const marks: Readonly<Record<Dialect, RegExp>> = {
  openai:
    /"(?:file_ids?"|vector_store_ids"|container(?:_id)?"|(?:previous|comparison)_response_id"|conversation"|background"|deferred"|audio"|skill_id"|tunnel_id")|\\u00/,
  anthropic: /"(?:file_id"|container"|thread"|previous_message_id"|skill_id")|\\u00/,
  google: /"(?:cached_?[Cc]ontent"|file_?[Uu]ri"|file_?[Ss]earch_?[Ss]tore_?[Nn]ames")|\\u00/,
}
const windowBytes = 1_048_576
const longestMark = 64

/** One character for each byte: what is searched for is ASCII. Long bodies are taken in pieces that overlap. */
function hasMark(body: Buffer, mark: RegExp): boolean {
  for (let start = 0; start < body.length; start += windowBytes - longestMark) {
    if (mark.test(body.toString('latin1', start, Math.min(start + windowBytes, body.length)))) {
      return true
    }
  }
  return false
}

/**
 * The ids that a request refers to and that must be its payer's own, each once.
 *
 * @throws CallRefused `shared-account` for what cannot be kept apart; `request-malformed` for items of two minds.
 */
export function findReferences(
  wire: Wire,
  dialect: Dialect,
  body: Buffer,
  members: ReadonlyMap<string, MemberSpan>,
): readonly string[] {
  const found = new Set<string>()
  if (wire === 'openai-responses') {
    collectItems(body, members.get('input'), found)
    refuseStoredPrompt(body, members.get('prompt'))
  }
  if (hasMark(body, marks[dialect])) collect(dialect, body, found)
  if (found.size > maxReferences) {
    throw refuse('request-malformed', 'The request refers to more than 1,024 earlier things.')
  }
  return found.size === 0 ? none : [...found]
}

const none: readonly string[] = []
// Each is looked up twice.
const maxReferences = 1024

function collect(dialect: Dialect, body: Buffer, found: Set<string>): void {
  const { members, opaque } = rulesByDialect[dialect]
  visitMembers(body, opaque, (name, parent, valueStart) => {
    const entry = members.get(name)
    if (entry === undefined || (entry.parent ?? parent) !== parent) return
    const text = readStringAt(body, valueStart)
    switch (entry.rule.kind) {
      case 'reference':
        if (text !== undefined) found.add(text)
        break
      case 'uri':
        if (text !== undefined && !isOutside(text)) throw refuse('shared-account', files.why)
        break
      case 'skill':
        // Those that the provider makes for everybody have plain names.
        if (text?.startsWith('skill_') === true) refuseUse(name, skills.why)
        break
      case 'refused':
        // A schema may well describe a member of this name; a value that names nothing does no harm.
        if (isUse(body, valueStart, entry.rule, text)) refuseUse(name, entry.rule.why)
    }
  })
}

/** File ids are texts or lists of them; the others are whatever is not nothing. */
function isUse(body: Buffer, valueStart: number, rule: Rule, text: string | undefined): boolean {
  if (rule !== files) return !isNothingAt(body, valueStart)
  return text !== undefined || (body[valueStart] === 0x5b && !isNothingAt(body, valueStart))
}

function refuseUse(name: string, why: string): never {
  throw new CallRefused({ code: 'shared-account', detail: `"${name}": ${why}`, headers: {} })
}

/** Content on the open web is everybody's; what lies at Google is the account's. */
function isOutside(uri: string): boolean {
  const url = URL.parse(uri)
  return url?.protocol === 'https:' && !/(?:^|\.)googleapis\.com\.?$/.test(url.hostname)
}

// Items that hold all of what they say, whatever their id is.
const wholeItems: ReadonlySet<string> = new Set([
  'message',
  'function_call',
  'function_call_output',
  'custom_tool_call',
  'custom_tool_call_output',
])

/** Items of an earlier answer can be named instead of sent: the provider then takes what it has under their id. */
function collectItems(body: Buffer, input: MemberSpan | undefined, found: Set<string>): void {
  if (input === undefined || body[input.start] !== 0x5b) return
  const list = body.subarray(input.start, input.end)
  const items = scanItems(list)
  if (items === undefined)
    throw refuse('request-malformed', 'The member "input" has too many items.')
  for (const { start, end } of items) {
    const item = list.subarray(start, end)
    const members = scanTopLevel(item)
    if (members === 'duplicate-member') {
      throw refuse('request-malformed', 'An item of "input" has a member twice.')
    }
    if (typeof members !== 'string') collectItem(item, members, found)
    // What we cannot read, a provider may: it could name an item of somebody else.
    else if (item[0] === 0x7b) throw refuse('request-malformed', 'An item of "input" is no JSON.')
  }
}

function collectItem(
  item: Buffer,
  members: ReadonlyMap<string, MemberSpan>,
  found: Set<string>,
): void {
  const textOf = (name: string): string | undefined => {
    const span = members.get(name)
    return span && readStringAt(item, span.start)
  }
  const id = textOf('id')
  const type = textOf('type')
  const isMessage = members.has('role') && members.has('content')
  const isWhole = type === undefined ? isMessage : wholeItems.has(type)
  if (id !== undefined && !isWhole) found.add(id)
  const approved = textOf('approval_request_id')
  if (approved !== undefined) found.add(approved)
}

function refuseStoredPrompt(body: Buffer, prompt: MemberSpan | undefined): void {
  if (prompt !== undefined && !isNothingAt(body, prompt.start)) refuseUse('prompt', prompts.why)
}
