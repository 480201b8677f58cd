/** GET /v1/receipts/{id}/upstream-response: the provider's own bytes of a translated call, for its caller alone. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fromHex } from '@countersign/protocol/bytes/text-encoding'
import { sendWhole } from '../call/deliver.ts'
import type { Gateway } from '../call/gateway.ts'
import { readToken, sendProblem } from './serve-receipts.ts'

const path = /^\/v1\/receipts\/([0-9a-f]{32})\/upstream-response$/

/** Whether this is the path of such bytes. */
export function isUpstreamResponsePath(pathname: string): boolean {
  return path.test(pathname)
}

/** Answers with the bytes, as they were hashed. */
export function serveUpstreamResponse(
  { upstreamAnswers }: Gateway,
  request: IncomingMessage,
  response: ServerResponse,
  pathname: string,
): void {
  const [, id = ''] = path.exec(pathname) ?? []
  const token = readToken(request)
  const isKnown = fromHex(id)?.length === 16 && token !== undefined
  const body = isKnown ? upstreamAnswers?.get(id, token) : undefined
  if (body === undefined) {
    sendProblem(response, 'upstream-response-not-found')
    return
  }
  sendWhole(response, 200, { 'content-type': 'application/octet-stream' }, body, undefined)
}
