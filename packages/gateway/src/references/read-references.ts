/** Finds the ids in a provider's answer under which it keeps something: only its own words count, no echo of a request. */
import type { Wire } from '../http/wire-routes.ts'
import { dataOf } from '../metering/event-data.ts'
import {
  isObject,
  itemsAt,
  objectAt,
  parseLongJson,
  textAt,
  type JsonObject,
} from '../metering/read-json.ts'

/** Reads the ids of one wire. */
export type ReferenceReader = {
  /** Ids in one event of a stream. */
  inEvent(event: Uint8Array): readonly string[]
  /** Ids in a whole answer. */
  inBody(body: Buffer): readonly string[]
}

const none: readonly string[] = []
const maxIdLength = 256

/** The reader of a wire; `undefined` for wires that keep nothing. */
export function findReferenceReader(wire: Wire): ReferenceReader | undefined {
  if (wire === 'openai-responses') return responses
  return wire === 'anthropic-messages' ? messages : undefined
}

const responses = createReader(
  ['"response.created"', '"response.output_item.'],
  (json) => {
    const type = String(json['type'])
    if (type !== 'response.created' && !type.startsWith('response.output_item.')) return none
    const item = json['item']
    return [
      ...idsOfResponse(objectAt(json, 'response')),
      ...(isObject(item) ? idsOfItem(item) : none),
    ]
  },
  idsOfResponse,
)

const messages = createReader(
  ['"container"'],
  (json) => [...idsOfMessage(objectAt(json, 'message')), ...idsOfMessage(objectAt(json, 'delta'))],
  idsOfMessage,
)

function createReader(
  needles: readonly string[],
  readEvent: (json: JsonObject) => readonly string[],
  readBody: (json: JsonObject) => readonly string[],
): ReferenceReader {
  const marks = needles.map((text) => Buffer.from(text))
  return {
    inEvent(event) {
      const bytes = Buffer.from(event.buffer, event.byteOffset, event.length)
      if (!marks.some((mark) => bytes.includes(mark))) return none
      const json = parseLongJson(dataOf(bytes))
      return isObject(json) ? readEvent(json) : none
    },
    inBody(body) {
      const json = parseLongJson(body)
      return isObject(json) ? readBody(json) : none
    },
  }
}

function idsOfResponse(response: JsonObject): readonly string[] {
  const items = itemsAt(response, 'output').filter(isObject)
  return [...idAt(response, 'id'), ...items.flatMap(idsOfItem)]
}

function idsOfItem(item: JsonObject): readonly string[] {
  return [...idAt(item, 'id'), ...idAt(item, 'container_id')]
}

function idsOfMessage(message: JsonObject): readonly string[] {
  return idAt(objectAt(message, 'container'), 'id')
}

function idAt(object: JsonObject, name: string): readonly string[] {
  const id = textAt(object, name, maxIdLength + 1)
  return id === null || id === '' || id.length > maxIdLength ? none : [id]
}
