/** What a behaviour is, and the ordinary way to send an answer. `behaviours.ts` has the table. */
import { createAnswer } from './answer.ts'
import type { Answer } from './answer.ts'
import type { ChatRequest } from './chat-request.ts'
import type { Exchange, Headers } from './exchange.ts'

/** What a behaviour gets besides the exchange. */
export interface BehaviourContext {
  readonly chat: ChatRequest
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
export function toAnswer(exchange: Exchange, context: BehaviourContext): Answer {
  return createAnswer(context.chat, exchange.body, context.nowMs)
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
  const { contentType, frames } = toAnswer(exchange, context)
  const allHeaders = { 'content-type': contentType, ...headers }
  if (!context.chat.stream) {
    await exchange.pause(context.delayMs)
    await exchange.answer(200, allHeaders, Buffer.concat(frames))
    return
  }
  exchange.start(200, allHeaders)
  await writeFrames(exchange, context, frames)
  await exchange.finish()
}
