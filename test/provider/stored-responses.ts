/** GET, DELETE, cancel and input_items of what POST /v1/responses stored. */
import type { Exchange } from './exchange.ts'
import { invalidRequest } from './provider-error.ts'
import { storedResponses } from './wires/openai-responses.ts'

const storedPath = /^\/v1\/responses\/([A-Za-z0-9_-]+)(|\/cancel|\/input_items)$/
const methods: Readonly<Record<string, readonly string[]>> = {
  '': ['GET', 'DELETE'],
  '/cancel': ['POST'],
  '/input_items': ['GET'],
}

/** Answers a call for a stored response; false when the path is another one. */
export async function answerStored(
  exchange: Exchange,
  method: string,
  path: string,
): Promise<boolean> {
  const [, id = '', action = '?'] = storedPath.exec(path) ?? []
  if (methods[action]?.includes(method) !== true) return false
  const response = storedResponses.get(id)
  if (response === undefined) {
    const error = invalidRequest(`Response with id '${id}' not found.`)
    await exchange.refuse({ ...error, status: 404 })
  } else if (action === '/cancel') {
    await exchange.refuse(invalidRequest('Only background responses can be cancelled.'))
  } else if (method === 'DELETE') {
    storedResponses.delete(id)
    await sendJson(exchange, { id, object: 'response', deleted: true })
  } else if (action === '/input_items') {
    await sendJson(exchange, { object: 'list', data: [], has_more: false })
  } else await sendJson(exchange, response)
  return true
}

async function sendJson(exchange: Exchange, value: unknown): Promise<void> {
  const body = Buffer.from(`${JSON.stringify(value, null, 2)}\n`)
  await exchange.answer(200, { 'content-type': 'application/json' }, body)
}
