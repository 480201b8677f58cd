/** UTCTime and GeneralizedTime as RFC 5280 §4.1.2.5 writes them. */
import { decodeUtf8 } from '../../bytes/byte-string.ts'
import { refuseUnless, type EvidenceCode } from '../evidence-errors.ts'
import type { DerReader } from './der.ts'
import { generalizedTimeTag, utcTimeTag } from './der-numbers.ts'

const pairsOfDigits = /^(..)(..)(..)(..)(..)(..)(..)Z$/

/** Takes a time, with seconds and in Zulu; milliseconds since the Unix epoch. */
export function takeTime(fields: DerReader, code: EvidenceCode): number {
  const isUtc = fields.peek() === utcTimeTag
  const { content } = fields.take(isUtc ? utcTimeTag : generalizedTimeTag)
  const text = String(decodeUtf8(content))
  const century = Number(text.slice(0, 2)) < 50 ? '20' : '19'
  const full = isUtc ? century + text : text
  refuseUnless(full.length === 15, code)
  // What is no digit stays, and is refused with what is no date.
  return parseIsoTime(full.replace(pairsOfDigits, '$1$2-$3-$4T$5:$6:$7Z'), code)
}

/**
 * Milliseconds of `2025-06-19T10:16:03Z`, this form and no other.
 *
 * @throws EvidenceError with `code`; also for days that no month has.
 */
export function parseIsoTime(text: string, code: EvidenceCode): number {
  const timeMs = Date.parse(text)
  const isTime =
    Number.isFinite(timeMs) && new Date(timeMs).toISOString() === text.replace('Z', '.000Z')
  refuseUnless(isTime, code)
  return timeMs
}
