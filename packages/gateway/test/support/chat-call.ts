/** Sends chat calls to a gateway over a fresh connection each. */
import { createHash } from 'node:crypto'
import { callRaw, type RawCall, type RawResult } from '../../../../test/provider/raw-client.ts'

/** A chat call: a model of the loopback provider, or a body of one's own. */
export interface ChatCall {
  readonly model: string
  readonly stream: boolean
  readonly prompt?: string
}

/** The body of a call with one user message. */
export function createChatBody({
  model,
  stream,
  prompt = 'Why is the sky blue?',
}: ChatCall): Buffer {
  return Buffer.from(
    JSON.stringify({ model, stream, messages: [{ role: 'user', content: prompt }] }),
  )
}

/** Posts exactly this body. */
export async function postChat(
  origin: string,
  body: Uint8Array | string,
  more: Partial<RawCall> = {},
): Promise<RawResult> {
  return callRaw({ url: `${origin}/v1/chat/completions`, method: 'POST', body, ...more })
}

/** SHA-256 in lower-case hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
