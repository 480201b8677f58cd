/** Answers that were paid for, kept for a short time in memory so that a repeated request gets the same one. */
import type { IncomingMessage } from 'node:http'
import { createByteArena, type ByteArena, type Place } from './byte-arena.ts'
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
  /** Keeps a copy. */
  put(receiptId: string, answer: KeptAnswer, nowMs: number): void
  /** A copy of what was kept. */
  get(receiptId: string, nowMs: number): KeptAnswer | undefined
}

/** Whether the answer of a call can be asked for again: with payment `none` only that of a call with a name. */
export function isRepeatable(payment: unknown, { headers }: IncomingMessage): boolean {
  return payment !== 'none' || headers['idempotency-key'] !== undefined
}

/** Answers larger than this are not kept. */
export const maxKeptAnswerBytes = 1_048_576

const blockBytes = 1_048_576

/** An answer as it lies in a block: its texts, then its body. All calls have one, and few are asked for. */
type Entry = {
  readonly status: number
  readonly place: Place
  readonly textBytes: number
  readonly untilMs: number
}

/**
 * An empty cache: oldest answers go first when `maxBytes` is reached, headers and receipts included; none outlives
 * `ttlMs`.
 */
export function createAnswerCache(maxBytes: number, ttlMs: number): AnswerCache {
  // All owned here.
  const kept = new Map<string, Entry>()
  const arena = createByteArena(blockBytes)
  let bytes = 0

  function remove(receiptId: string): void {
    const entry = kept.get(receiptId)
    if (entry === undefined) return
    bytes -= sizeOf(entry)
    kept.delete(receiptId)
    arena.give(entry.place)
  }

  return {
    put(receiptId, answer, nowMs) {
      if (answer.body.length > maxKeptAnswerBytes) return
      remove(receiptId)
      const entry = writeEntry(arena, answer, nowMs + ttlMs)
      kept.set(receiptId, entry)
      bytes += sizeOf(entry)
      for (const [oldest, { untilMs }] of kept) {
        if (bytes <= maxBytes && untilMs > nowMs) break
        remove(oldest)
      }
    },
    get(receiptId, nowMs) {
      const entry = kept.get(receiptId)
      return entry === undefined || entry.untilMs <= nowMs ? undefined : readEntry(arena, entry)
    },
  }
}

function sizeOf({ place }: Entry): number {
  return place.end - place.start
}

function writeEntry(
  arena: ByteArena,
  { status, headers, body, receipt }: KeptAnswer,
  untilMs: number,
): Entry {
  const { idHex, token, statement } = receipt
  // What stands in the head of an answer has no line feed, and one byte for each character.
  let text = `${idHex}\n${token}\n${statement}`
  for (const name in headers) text += `\n${name}\n${headers[name] ?? ''}`
  const place = arena.take(text.length + body.length)
  const bytes = arena.view(place)
  bytes.write(text, 'latin1')
  bytes.set(body, text.length)
  return { status, place, textBytes: text.length, untilMs }
}

/** The place may be another answer's while this one is still being sent: nothing of it is handed out. */
function readEntry(arena: ByteArena, { status, place, textBytes }: Entry): KeptAnswer {
  const bytes = arena.view(place)
  const texts = bytes.toString('latin1', 0, textBytes).split('\n')
  const [idHex = '', token = '', statement = '', ...fields] = texts
  const headers = Object.fromEntries(
    fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1] ?? '']] : [])),
  )
  const body = Buffer.from(bytes.subarray(textBytes))
  return { status, headers, body, receipt: { idHex, token, statement } }
}
