/** A call from its first byte on: its id, its caller's token, and whether the caller is still there. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fromBase64url } from '@countersign/protocol/bytes/text-encoding'
import { dialectOfPath, type Dialect } from '../http/wire-routes.ts'
import type { RandomBytes } from '../keys/random-pool.ts'
import { once } from './once.ts'

/** One call. Owner: handle-call. */
export type Call = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** 16 random bytes, and the same as 32 hex digits. */
  readonly id: Uint8Array
  readonly idHex: string
  /** Lets its holder read the claims of the statement. */
  readonly token: () => string
  readonly receivedMs: number
  /** Path without the query: credentials could stand there. */
  readonly path: string
  /** In whose form our own answers are written. */
  readonly dialect: Dialect
  isGone(): boolean
  /** Calls back once when the caller leaves before the answer is complete. */
  onGone(listener: () => void): void
  isStopped(): boolean
  /** Calls this back, and nobody before it, when the gateway stops: at once when it has. */
  onStop(listener: () => void): void
  /** The gateway stops: a call that is not upstream yet does not go there any more. */
  stop(): void
}

/** Opens a call. */
export function openCall(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  receivedMs: number,
  random: RandomBytes,
): Call {
  const secret = random(48)
  const id = secret.subarray(0, 16)
  const listeners: (() => void)[] = []
  let gone = false
  let stopped = false
  let stopListener: (() => void) | undefined
  response.on('close', () => {
    if (response.writableFinished) return
    gone = true
    for (const listener of listeners) listener()
  })
  return {
    request,
    response,
    id,
    idHex: Buffer.from(id).toString('hex'),
    token: once(() => Buffer.from(secret.subarray(16)).toString('base64url')),
    receivedMs,
    path,
    dialect: dialectOfPath(path),
    isGone: () => gone,
    onGone: (listener) => {
      if (gone) listener()
      else listeners.push(listener)
    },
    isStopped: () => stopped,
    onStop: (listener) => {
      stopListener = listener
      if (stopped) listener()
    },
    stop: () => {
      stopped = true
      stopListener?.()
    },
  }
}

/** The caller's nonce (RC6.4): `undefined` when there is none, `null` when it is malformed. */
export function readNonce(request: IncomingMessage): Uint8Array | undefined | null {
  const header = request.headers['x-receipt-nonce']
  if (header === undefined) return undefined
  const nonce = typeof header === 'string' ? fromBase64url(header) : undefined
  return nonce !== undefined && nonce.length >= 1 && nonce.length <= 64 ? nonce : null
}
