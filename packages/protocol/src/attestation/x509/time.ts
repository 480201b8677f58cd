/** UTCTime and GeneralizedTime as RFC 5280 §4.1.2.5 writes them. */
import { decodeUtf8 } from '../../bytes/byte-string.ts'
import { EvidenceError, type EvidenceCode } from '../evidence-errors.ts'
import { derTags, type DerReader } from './der.ts'

const utcTime = /^[0-9]{12}Z$/
const generalizedTime = /^[0-9]{14}Z$/

/** Takes a time, with seconds and in Zulu; milliseconds since the Unix epoch. */
export function takeTime(fields: DerReader, code: EvidenceCode): number {
  const isUtc = fields.peek() === derTags.utcTime
  const { content } = fields.take(isUtc ? derTags.utcTime : derTags.generalizedTime)
  const text = decodeUtf8(content) ?? ''
  if (!(isUtc ? utcTime : generalizedTime).test(text)) throw new EvidenceError(code)
  const full = isUtc ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text
  const part = (at: number): string => full.slice(at, at + 2)
  const day = `${full.slice(0, 4)}-${part(4)}-${part(6)}`
  return parseIsoTime(`${day}T${part(8)}:${part(10)}:${part(12)}Z`, code)
}

/**
 * Milliseconds of `2025-06-19T10:16:03Z`, this form and no other.
 *
 * @throws EvidenceError with `code`; also for days that no month has.
 */
export function parseIsoTime(text: string, code: EvidenceCode): number {
  const timeMs = Date.parse(text)
  const isTime = Number.isFinite(timeMs)
  if (!isTime || new Date(timeMs).toISOString() !== text.replace('Z', '.000Z')) {
    throw new EvidenceError(code)
  }
  return timeMs
}
