/** Answers that were paid for, kept for a short time in memory so that a repeated request gets the same one. */
import type { IncomingMessage } from 'node:http'
import type { IssuedReceipt } from './issued-receipt.ts'

/** A complete answer with its receipt. */
export type KeptAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly receipt: IssuedReceipt
}

/** Owner of the kept answers. */
export type AnswerCache = {
  put(receiptId: string, answer: KeptAnswer, nowMs: number): void
  get(receiptId: string, nowMs: number): KeptAnswer | undefined
}

/** Whether the answer of a call can be asked for again: with payment `none` only that of a call with a name. */
export function isRepeatable(payment: unknown, { headers }: IncomingMessage): boolean {
  return payment !== 'none' || headers['idempotency-key'] !== undefined
}

/** Answers larger than this are not kept. */
export const maxKeptAnswerBytes = 1_048_576

/** An empty cache: oldest answers go first when `maxBytes` is reached; none outlives `ttlMs`. */
export function createAnswerCache(maxBytes: number, ttlMs: number): AnswerCache {
  const kept = new Map<string, { readonly answer: KeptAnswer; readonly untilMs: number }>()
  let bytes = 0

  function remove(receiptId: string): void {
    bytes -= kept.get(receiptId)?.answer.body.length ?? 0
    kept.delete(receiptId)
  }

  return {
    put(receiptId, answer, nowMs) {
      if (answer.body.length > maxKeptAnswerBytes) return
      remove(receiptId)
      kept.set(receiptId, { answer, untilMs: nowMs + ttlMs })
      bytes += answer.body.length
      for (const [oldest, { untilMs }] of kept) {
        if (bytes <= maxBytes && untilMs > nowMs) break
        remove(oldest)
      }
    },
    get(receiptId, nowMs) {
      const entry = kept.get(receiptId)
      return entry === undefined || entry.untilMs <= nowMs ? undefined : entry.answer
    },
  }
}
