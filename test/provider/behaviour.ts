/** What a behaviour is, and the ordinary way to send an answer. `behaviours.ts` has the table. */
import type { Answer } from './answer.ts'
import type { ChatRequest } from './chat-request.ts'
import type { Exchange, Headers } from './exchange.ts'
import type { ProviderWire, WireRequest } from './wires/wire.ts'

/** What a behaviour gets besides the exchange. */
export interface BehaviourContext {
  readonly chat: ChatRequest
  readonly wire: ProviderWire
  readonly wireRequest: WireRequest
  /** The text behind the model name's prefix; empty for exact names. */
  readonly argument: string
  /** Pause after each piece of a stream, and before a JSON answer. */
  readonly delayMs: number
  readonly nowMs: number
  /** Folder of recordings, or null when none was given. */
  readonly recordingsDir: string | null
}

/** Answers one request in its way. Rejects with ExchangeClosedError when the client leaves. */
export type Behaviour = (exchange: Exchange, context: BehaviourContext) => Promise<void>

/** The normal answer to the exchange's request. */
export function toAnswer({ chat, wire, wireRequest, nowMs }: BehaviourContext): Answer {
  return wire.createAnswer(chat, wireRequest, nowMs)
}

/** Sends the normal answer: JSON with content-length, or a stream event by event. */
export const answerNormally: Behaviour = async (exchange, context) =>
  sendAnswer(exchange, context, {})

/** `answerNormally` with further or other response headers. */
export function answerWithHeaders(headers: Headers): Behaviour {
  return async (exchange, context) => sendAnswer(exchange, context, headers)
}

/** `answerNormally` with a pause between two pieces. */
export function answerSlowly(delayMs: number): Behaviour {
  return async (exchange, context) => sendAnswer(exchange, { ...context, delayMs }, {})
}

/** Sends frames of a chunked body one write each, with the context's pause after each. */
export async function writeFrames(
  exchange: Exchange,
  context: BehaviourContext,
  frames: readonly Uint8Array[],
): Promise<void> {
  for (const frame of frames) {
    await exchange.write(frame)
    await exchange.pause(context.delayMs)
  }
}

async function sendAnswer(
  exchange: Exchange,
  context: BehaviourContext,
  headers: Headers,
): Promise<void> {
  const { contentType, frames } = toAnswer(context)
  const allHeaders = { 'content-type': contentType, ...headers }
  // Without alt=sse Google streams an array, which is no event stream.
  if (!context.chat.stream || !contentType.startsWith('text/event-stream')) {
    await exchange.pause(context.delayMs)
    await exchange.answer(200, allHeaders, Buffer.concat(frames))
    return
  }
  exchange.start(200, allHeaders)
  await writeFrames(exchange, context, frames)
  await exchange.finish()
}
