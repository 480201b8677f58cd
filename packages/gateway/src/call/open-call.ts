/** A call from its first byte on: its id, its caller's token, and whether the caller is still there. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fromBase64url } from '@countersign/protocol/bytes/text-encoding'
import { nativeSha256 } from '../keys/native-sha256.ts'
import type { RandomBytes } from '../keys/random-pool.ts'

/** One call. Owner: handle-call. */
export type Call = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** 16 random bytes, and the same as 32 hex digits. */
  readonly id: Uint8Array
  readonly idHex: string
  readonly token: string
  readonly tokenDigest: Uint8Array
  readonly receivedMs: number
  /** Path without the query: credentials could stand there. */
  readonly path: string
  isGone(): boolean
  /** Calls back once when the caller leaves before the answer is complete. */
  onGone(listener: () => void): void
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
  const token = Buffer.from(secret.subarray(16)).toString('base64url')
  const listeners: (() => void)[] = []
  let gone = false
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
    token,
    tokenDigest: nativeSha256(token),
    receivedMs,
    path,
    isGone: () => gone,
    onGone: (listener) => {
      if (gone) listener()
      else listeners.push(listener)
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
