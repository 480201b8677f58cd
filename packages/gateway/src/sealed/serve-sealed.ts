/** POST /v1/sealed: a whole HTTP call, encrypted to a key of the keyset, and its answer as it comes (spec/sealed.md). */
import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import {
  encodeContent,
  encodeResponseEnd,
  encodeResponseHead,
  type BinaryRequest,
  type Field,
} from '@countersign/protocol/sealed/binary-http'
import { encodeFrame, encodeLastFrame } from '@countersign/protocol/sealed/chunk-frames'
import { sealedTypes } from '@countersign/protocol/sealed/request-head'
import { responseNonceBytes, type ChunkCipher } from '@countersign/protocol/sealed/response-cipher'
import { SealedError } from '@countersign/protocol/sealed/sealed-error'
import { createBodyCollector } from '../call/body-collector.ts'
import { CallRefused } from '../call/call-refused.ts'
import { endAnswer, unreadMs } from '../call/end-answer.ts'
import type { Gateway } from '../call/gateway.ts'
import { readBody } from '../call/read-body.ts'
import type { GatewayErrorCode } from '../errors.ts'
import type { SealedKeys } from '../keys/sealed-keys.ts'
import { sealedWindowMs } from '../keys/sealed-keys.ts'
import { sendProblem } from '../receipts/serve-receipts.ts'
import { openSealedCall, type OpenedCall } from './open-sealed-call.ts'
import { openSealedConnection } from './sealed-connections.ts'

/** Path of sealed calls. */
export const sealedPath = '/v1/sealed'

// Frames, tags, and the head and fields of the call inside.
const overheadBytes = 262_144
const plainChunkBytes = 16_384
/** Of one connection, or of the outer call: the inner one has its own. */
const hopFields = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
  'content-length',
  'host',
  'expect',
  'proxy-connection',
  // Who calls is known from the outer call alone.
  'x-forwarded-for',
])

/** Serves sealed calls by the routes that serve open ones. */
export function createSealedCalls(
  current: () => Gateway,
  keys: SealedKeys,
  listener: RequestListener,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  // It never listens: connections are made inside the process.
  const inner = createServer({ requestTimeout: 0, headersTimeout: 0 }, listener)
  return async (request, response) => {
    const gateway = current()
    const received = { collector: createBodyCollector(), sizeBytes: 0 }
    try {
      const limit = gateway.config.limits.maxRequestBytes + overheadBytes
      const body = await readBody(request, limit, received, gateway.requestMemory)
      const opened = await openSealedCall(body, keys)
      const refusal = await judge(gateway, keys, request, opened)
      if (opened === undefined || refusal !== undefined) {
        sendProblem(response, refusal ?? 'sealed-key-unknown')
        return
      }
      await answer(gateway, inner, { opened, caller: gateway.findCaller(request) }, response)
    } catch (error) {
      refuse(response, error)
    } finally {
      gateway.requestMemory.give(received.collector.bytes().length)
    }
  }
}

/** In this order: what is refused here was not made, and nothing is known of it. */
async function judge(
  gateway: Gateway,
  keys: SealedKeys,
  { headers }: IncomingMessage,
  opened: OpenedCall | undefined,
): Promise<GatewayErrorCode | undefined> {
  if (opened === undefined) return 'sealed-key-unknown'
  if (headers['content-type'] !== sealedTypes.request) return 'sealed-malformed'
  const { request, encapsulated } = opened
  const nowMs = gateway.nowMs()
  const date = Date.parse(request.fields.find(([name]) => name === 'date')?.[1] ?? '')
  // False when there is no date, or none that can be read.
  const isNow = Math.abs(date - nowMs) <= sealedWindowMs
  if (!isNow) return 'sealed-replayed'
  return refusals[await keys.take(encapsulated, nowMs)]
}

const refusals = { new: undefined, seen: 'sealed-replayed', 'no-room': 'overloaded' } as const

function refuse(response: ServerResponse, error: unknown): void {
  if (error instanceof SealedError) sendProblem(response, 'sealed-malformed', error.message)
  else if (error instanceof CallRefused) {
    sendProblem(response, error.refusal.code, error.refusal.detail, error.refusal.headers)
  } else throw error
}

/** The call is made over a connection inside the process, and every piece of its answer is sealed as it comes. */
async function answer(
  gateway: Gateway,
  inner: Server,
  { opened, caller }: { readonly opened: OpenedCall; readonly caller: string },
  response: ServerResponse,
): Promise<void> {
  const responseNonce = Uint8Array.from(gateway.random(responseNonceBytes))
  const cipher = await opened.createCipher(responseNonce)
  // Who left while the call was opened does not leave again: nobody would end what is made now.
  if (response.destroyed) return
  const plain = await callInside(inner, opened, caller, response)
  response.on('error', () => plain.destroy())
  response.writeHead(200, {
    'content-type': sealedTypes.response,
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
  })
  response.write(responseNonce)
  try {
    await write(
      response,
      cipher,
      encodeResponseHead(plain.statusCode ?? 0, fieldsOf(plain.rawHeaders)),
    )
    for await (const chunk of plain) await write(response, cipher, encodeContent(toBytes(chunk)))
    const end = encodeResponseEnd(fieldsOf(plain.rawTrailers))
    endAnswer(response, encodeLastFrame(await cipher.seal(end, true)))
  } catch {
    // The answer broke off, or its caller has left: so does this one, without its last chunk.
    plain.destroy()
    response.destroy()
  }
}

function callInside(
  inner: Server,
  { request, key }: OpenedCall,
  caller: string,
  response: ServerResponse,
): Promise<IncomingMessage> {
  const connection = openSealedConnection(key, caller)
  inner.emit('connection', connection.inner)
  return new Promise((resolve, reject) => {
    const { method, path, body } = request
    const sent = httpRequest({
      createConnection: () => connection.outer,
      method,
      path,
      headers: headersOf(request),
    })
    response.once('close', () => {
      if (!response.writableFinished) connection.outer.destroy()
    })
    sent.once('response', resolve)
    sent.once('error', (cause) => {
      reject(new SealedError('sealed-malformed', { cause }))
    })
    // Whatever ends it: nobody waits for what does not come.
    sent.once('close', () => {
      reject(new SealedError('sealed-malformed'))
    })
    sent.end(body)
  })
}

function headersOf({ authority, fields, body }: BinaryRequest): string[] {
  const kept = fields.filter(([name]) => !hopFields.has(name))
  const length: readonly Field[] =
    body.length === 0 ? [] : [['content-length', String(body.length)]]
  return [['host', authority] as const, ...kept, ...length, ['connection', 'close'] as const].flat()
}

async function write(
  response: ServerResponse,
  cipher: ChunkCipher,
  plain: Uint8Array,
): Promise<void> {
  for (let at = 0; at < plain.length; at += plainChunkBytes) {
    const sealed = await cipher.seal(plain.subarray(at, at + plainChunkBytes), false)
    const hasRoom = response.write(encodeFrame(sealed))
    // Of a caller who has left nothing more is heard.
    if (response.destroyed) throw new Error('the caller has left')
    if (!hasRoom) await drained(response)
  }
}

/** Resolves when the caller has read, or has gone: who takes nothing for long has. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.socket?.setTimeout(unreadMs)
    const done = (): void => {
      response.socket?.setTimeout(0)
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
}

function fieldsOf(raw: readonly string[]): readonly Field[] {
  const fields: Field[] = []
  for (let at = 0; at < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    if (!hopFields.has(name)) fields.push([name, raw[at + 1] ?? ''])
  }
  return fields
}

function toBytes(chunk: unknown): Uint8Array {
  if (!(chunk instanceof Uint8Array)) throw new TypeError('no bytes')
  return chunk
}
