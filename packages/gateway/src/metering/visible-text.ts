/**
 * Counts the text of a request and of an answer in bytes: no tokeniser makes more tokens of a text than it has bytes
 * (spec/metering.md ME9.3, docs/decisions). Runs in a worker: a long answer takes milliseconds to parse.
 */
import { readElements } from '@countersign/protocol/receipt/event-chain'
import { dataOf } from './event-data.ts'
import { isObject, parseJson } from './read-json.ts'
import { countAttachments, isAttachment } from './request-content.ts'

/** The text of a request; `undefined` for a body that is no JSON. */
export type RequestText = { readonly textBytes: number; readonly attachments: number }

// Where the wires put what a model writes, in their events and in their whole answers.
const writtenMembers = ['delta', 'choices', 'candidates', 'content_block', 'output', 'content']

// What the model writes of an item; what its tools answer comes back as input.
const itemMembers = [
  'content',
  'summary',
  'arguments',
  'name',
  'code',
  'input',
  'action',
  'operation',
]

/** The text of a request, names and numbers included, attachments apart. */
export function countRequestText(body: Uint8Array): RequestText | undefined {
  const json = parseJson(Buffer.from(body).toString('utf8'))
  if (!isObject(json)) return undefined
  return {
    textBytes: countText(json, (value) => !isAttachment(value)),
    attachments: countAttachments(json),
  }
}

/** The text of a stream, or of the first part of one, in bytes. */
export function countStreamText(stream: Uint8Array): number {
  // The responses wire sends most items piece by piece and then as a whole, but some only as a whole.
  const items = new Map<unknown, { pieces: number; whole: number }>()
  for (const { bytes } of readElements(stream)) {
    const json = parseJson(dataOf(Buffer.from(bytes)).toString('utf8'))
    if (!isObject(json)) continue
    const index = json['output_index']
    const item = items.get(index) ?? { pieces: 0, whole: 0 }
    items.set(index, item)
    item.pieces += countWritten(json)
    if (isObject(json['item'])) item.whole = Math.max(item.whole, countItem(json['item']))
  }
  return [...items.values()].reduce((sum, item) => sum + Math.max(item.pieces, item.whole), 0)
}

/** The text of a whole answer in bytes; of one that is no JSON, its length. */
export function countBodyText(body: Uint8Array): number {
  const json = parseJson(Buffer.from(body).toString('utf8'))
  return json === undefined ? body.length : countWritten(json)
}

function countWritten(json: unknown): number {
  if (Array.isArray(json)) return json.reduce((sum: number, item) => sum + countWritten(item), 0)
  if (!isObject(json)) return 0
  let bytes = 0
  for (const name of writtenMembers) {
    // Of a server tool's result the model wrote nothing; it comes back as input.
    bytes += countText(json[name], (value) => !String(value['type']).endsWith('_tool_result'))
  }
  return bytes
}

function countItem(item: Readonly<Record<string, unknown>>): number {
  return itemMembers.reduce((sum, name) => sum + countText(item[name], () => true), 0)
}

/** UTF-8 bytes of all strings, names and numbers, below objects that are entered. */
function countText(
  root: unknown,
  enters: (value: Readonly<Record<string, unknown>>) => boolean,
): number {
  let bytes = 0
  const open: unknown[] = [root]
  while (open.length > 0) {
    const value = open.pop()
    if (typeof value === 'string') bytes += Buffer.byteLength(value)
    else if (typeof value === 'number') bytes += String(value).length
    else if (Array.isArray(value)) for (const item of value) open.push(item)
    else if (isObject(value) && enters(value)) {
      for (const [name, member] of Object.entries(value)) {
        bytes += name.length
        open.push(member)
      }
    }
  }
  return bytes
}
