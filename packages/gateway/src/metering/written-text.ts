/**
 * Finds what a model wrote in an answer: the texts that a tokenizer counts where no provider did (spec/metering.md
 * ME9.3). Runs in a worker: a long answer takes milliseconds to parse.
 */
import { readElements } from '@countersign/protocol/receipt/event-chain'
import { dataOf } from './event-data.ts'
import { isObject, parseJson, stringify, type JsonObject } from './read-json.ts'

// Where the wires put what a model writes, in their events and in their whole answers.
const writtenMembers = ['delta', 'choices', 'candidates', 'content_block', 'output', 'content']
// What of it is text, in the words of all wires. The rest is ids, kinds, signatures, citations, sound and pictures.
const textMembers: ReadonlySet<string> = new Set([
  'arguments',
  'code',
  'content',
  'delta',
  'name',
  'partial_json',
  'reasoning_content',
  'refusal',
  'text',
  'thinking',
  'transcript',
])
// Arguments of calls, parsed.
const jsonMembers: ReadonlySet<string> = new Set(['action', 'args', 'input', 'operation'])
// What an item of the responses wire holds beside what the model wrote: what its tools answered, summaries.
const itemMembers = ['content', 'arguments', 'name', 'code', 'input', 'action', 'operation']
const placeMembers = ['index', 'output_index', 'content_index', 'item_id'] as const
// Sound and pictures as text, and summaries, which somebody else wrote about what the model thought.
const otherDeltas = /(?:\.audio|reasoning_summary_text|partial_image)\.delta$/
// No wire nests what a model writes deeper than this.
const maxDepth = 16

/** The texts of a stream, or of the first part of one. */
export function readStreamTexts(stream: Uint8Array): readonly string[] {
  // The responses wire sends most items piece by piece and then as a whole, but some only as a whole.
  const items = new Map<unknown, { readonly pieces: Texts; whole: Texts }>()
  for (const { bytes } of readElements(stream)) {
    const json = parseJson(dataOf(Buffer.from(bytes)).toString('utf8'))
    if (!isObject(json) || otherDeltas.test(String(json['type']))) continue
    const place = json['output_index']
    const item = items.get(place) ?? { pieces: new Map(), whole: new Map() }
    items.set(place, item)
    const at = placeMembers.map((name) => placeOf(json[name])).join('/')
    for (const name of writtenMembers) collect(item.pieces, at, name, json[name])
    if (isObject(json['item'])) item.whole = textsOfItem(json['item'])
  }
  return Array.from(items.values(), ({ pieces, whole }) => longer(pieces, whole)).flat()
}

/** The texts of a whole answer; of one that is no JSON, the answer. */
export function readBodyTexts(body: Uint8Array): readonly string[] {
  const text = Buffer.from(body).toString('utf8')
  const json = parseJson(text)
  if (json === undefined) return [text]
  const texts: Texts = new Map()
  for (const [index, part] of (Array.isArray(json) ? json : [json]).entries()) {
    if (!isObject(part)) continue
    const items = Array.isArray(part['output']) ? part['output'] : []
    for (const [at, item] of items.entries()) {
      if (!isObject(item)) continue
      for (const [path, each] of textsOfItem(item)) texts.set(`${index}/${at}${path}`, each)
    }
    for (const name of writtenMembers) {
      if (name !== 'output' || items.length === 0) collect(texts, `${index}`, name, part[name])
    }
  }
  return [...texts.values()]
}

// Pieces of one text stand at one place: they are joined, because a tokenizer makes more tokens of pieces.
type Texts = Map<string, string>
type Open = { readonly path: string; readonly name: string; readonly value: unknown }

function placeOf(value: unknown): string | number {
  return typeof value === 'string' || typeof value === 'number' ? value : ''
}

/** What came in pieces and as a whole was written once. */
function longer(pieces: Texts, whole: Texts): readonly string[] {
  const [a, b] = [[...pieces.values()], [...whole.values()]]
  return a.join('').length >= b.join('').length ? a : b
}

function textsOfItem(item: JsonObject): Texts {
  const texts: Texts = new Map()
  for (const name of itemMembers) collect(texts, '', name, item[name])
  return texts
}

/** Adds the texts below a member to those that stand at the same places. */
function collect(texts: Texts, at: string, member: string, root: unknown): void {
  const open: (Open & { readonly depth: number })[] = [
    { path: `${at}/${member}`, name: member, value: root, depth: 0 },
  ]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { path, name, value, depth } = next
    const text = textOf(name, value)
    if (text !== undefined) texts.set(path, (texts.get(path) ?? '') + text)
    else if (depth < maxDepth) {
      for (const child of childrenOf(next)) open.push({ ...child, depth: depth + 1 })
    }
  }
}

function textOf(name: string, value: unknown): string | undefined {
  if (typeof value === 'string') {
    return textMembers.has(name) || jsonMembers.has(name) ? value : undefined
  }
  if (!isObject(value) || !jsonMembers.has(name)) return undefined
  // Before its arguments a call has none.
  return Object.keys(value).length === 0 ? '' : stringify(value)
}

function* childrenOf({ path, name, value }: Open): Generator<Open> {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const told = isObject(item) ? item['index'] : undefined
      yield { path: `${path}/${typeof told === 'number' ? told : index}`, name, value: item }
    }
  } else if (isObject(value) && !String(value['type']).endsWith('_tool_result')) {
    // Of a server tool's result the model wrote nothing; it comes back as input.
    for (const [member, each] of Object.entries(value)) {
      yield { path: `${path}/${member}`, name: member, value: each }
    }
  }
}
