/** What an answer consists of, whichever wire it came on and whichever it goes to. */

/** An answer that the caller's wire cannot say, or that the SDK would change. */
export class AnswerNotTranslatable extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(reason, options)
    this.name = 'AnswerNotTranslatable'
  }
}

/** Counts as the caller's wires need them. */
export type AnswerUsage = {
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite: number
  readonly output: number
  readonly reasoning: number
}

/** Why an answer ended. */
export type FinishReason = 'stop' | 'length' | 'tool-calls' | 'content-filter'

/** An error of the provider within a stream. */
export type AnswerError = { readonly type: string; readonly message: string }

/** One piece of an answer, in its order. */
export type AnswerPart =
  | { readonly kind: 'text'; readonly text: string }
  /** Google's signature of a text. */
  | { readonly kind: 'text-signature'; readonly signature: string }
  | { readonly kind: 'reasoning-start' }
  | { readonly kind: 'reasoning'; readonly text: string }
  /** Anthropic's signature of its reasoning. */
  | { readonly kind: 'reasoning-signature'; readonly signature: string }
  | {
      readonly kind: 'tool-start'
      readonly id: string
      readonly name: string
      /** Google's signature of a call. */
      readonly signature: string | undefined
    }
  | { readonly kind: 'tool-input'; readonly id: string; readonly text: string }
  | { readonly kind: 'tool-end'; readonly id: string }
  | {
      readonly kind: 'finish'
      readonly reason: FinishReason
      readonly usage: AnswerUsage | undefined
    }
  | { readonly kind: 'error'; readonly error: AnswerError }

/** What an answer says of itself. All of it comes from the receipt or from the provider's bytes: nothing is made up. */
export type AnswerIdentity = {
  /** The id of the receipt, 32 hex digits. */
  readonly id: string
  readonly receivedMs: number
  /** As the provider says it, else as it was asked for. */
  readonly model: () => string
}

/** Writes a stream of the caller's wire. */
export type AnswerWriter = {
  /** The bytes that a part is on this wire; may be none. @throws AnswerNotTranslatable */
  write(part: AnswerPart): string
}
