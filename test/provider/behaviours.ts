/** The table of what each model name does. See `behaviours` for the list. */
import { createAnswer } from './answer.ts'
import type { Answer } from './answer.ts'
import type { ChatRequest } from './chat-request.ts'
import type { Exchange } from './exchange.ts'

/** What a behaviour gets besides the exchange. */
export interface BehaviourContext {
  readonly chat: ChatRequest
  /** The text behind the model name's prefix; empty for exact names. */
  readonly argument: string
  /** Pause between two pieces of every answer. */
  readonly delayMs: number
  readonly nowMs: number
  /** Folder of recordings, or null when none was given. */
  readonly recordingsDir: string | null
}

/** Answers one request in its way. Rejects with ExchangeClosedError when the client leaves. */
export type Behaviour = (exchange: Exchange, context: BehaviourContext) => Promise<void>

/** One row: an exact model name, or a prefix when `takesArgument`. */
export interface BehaviourRow {
  readonly name: string
  readonly takesArgument: boolean
  readonly run: Behaviour
}

export const behaviours: readonly BehaviourRow[] = [
  { name: 'loopback-echo', takesArgument: false, run: async (e, c) => sendAnswer(e, c, c.delayMs) },
  { name: 'loopback-slow', takesArgument: false, run: async (e, c) => sendAnswer(e, c, 100) },
]

/** The behaviour for a model name with its argument, or undefined when the name means nothing. */
export function findBehaviour(
  model: string,
): { readonly run: Behaviour; readonly argument: string } | undefined {
  for (const { name, takesArgument, run } of behaviours) {
    if (!takesArgument && model === name) return { run, argument: '' }
    if (takesArgument && model.startsWith(name) && model.length > name.length) {
      return { run, argument: model.slice(name.length) }
    }
  }
  return undefined
}

async function sendAnswer(
  exchange: Exchange,
  context: BehaviourContext,
  delayMs: number,
): Promise<void> {
  const answer: Answer = createAnswer(context.chat, exchange.body, context.nowMs)
  if (!context.chat.stream) {
    await exchange.pause(delayMs)
    const body = Buffer.concat(answer.frames)
    await exchange.answer(200, { 'content-type': answer.contentType }, body)
    return
  }
  exchange.start(200, { 'content-type': answer.contentType })
  for (const frame of answer.frames) {
    await exchange.write(frame)
    await exchange.pause(delayMs)
  }
  await exchange.finish()
}
