/** The event log of dstack: JSON of what a confidential virtual machine extended into RTMR 0 to 3. */
import { sha384 } from '@noble/hashes/sha2.js'
import { concatBytes, encodeUtf8, equalBytes } from '../../bytes/byte-string.ts'
import { decodeJson } from '../../bytes/json-decode.ts'
import type { CborValue } from '../../bytes/cbor-encode.ts'
import { openMap } from '../../bytes/map-reader.ts'
import { fromHex } from '../../bytes/text-encoding.ts'
import { EvidenceError } from '../evidence-errors.ts'

/** What the log says once it is proven. Payloads are bytes by the name of their event. */
export type DstackEvents = {
  /** Up to and with `system-ready`: what the system says of the application, before it runs. */
  readonly boot: ReadonlyMap<string, Uint8Array>
  /** After it: what the application itself says. */
  readonly runtime: ReadonlyMap<string, Uint8Array>
}

const runtimeEventType = 0x08000001
const lastBootEvent = 'system-ready'
const registers = 4
const digestBytes = 48
const maxEvents = 1024
const maxPayloadChars = 131_072
const maxLogBytes = 262_144
const separator = encodeUtf8(':')

type Event = {
  readonly register: number
  readonly type: number
  readonly digest: Uint8Array
  readonly name: string
  readonly payload: Uint8Array
}

/**
 * The named events of RTMR3, when the log leads to all four signed registers.
 *
 * The digest of each event of RTMR3 is computed again from its name and payload, in either of the two forms that
 * dstack has. Of the other registers only the digests count: their payloads are not given.
 *
 * @throws EvidenceError `event-log-malformed`, also for a name that comes twice; `event-log-mismatch`.
 */
export function checkDstackLog(log: Uint8Array, rtmrs: readonly Uint8Array[]): DstackEvents {
  const events = parseEvents(log)
  const boot = new Map<string, Uint8Array>()
  const runtime = new Map<string, Uint8Array>()
  for (const event of events) {
    const { register, name, payload } = event
    if (register !== registers - 1) continue
    if (!isRecomputed(event)) throw new EvidenceError('event-log-mismatch', 'digest of an event')
    // The same name twice: a reader that takes the first and one that takes the last would disagree.
    if (boot.has(name) || runtime.has(name)) refuse()
    if (boot.has(lastBootEvent)) runtime.set(name, payload)
    else boot.set(name, payload)
  }
  const isProven =
    rtmrs.length === registers &&
    rtmrs.every((rtmr, register) => equalBytes(rtmr, replay(events, register)))
  if (!isProven) throw new EvidenceError('event-log-mismatch', 'RTMR')
  return { boot, runtime }
}

function replay(events: readonly Event[], register: number): Uint8Array {
  let value: Uint8Array = new Uint8Array(digestBytes)
  for (const event of events) {
    if (event.register === register) value = sha384(concatBytes(value, event.digest))
  }
  return value
}

function isRecomputed({ type, name, payload, digest }: Event): boolean {
  if (type !== runtimeEventType) return false
  const littleEndian = new Uint8Array([0, 8, 16, 24].map((shift) => (type >> shift) & 255))
  const first = concatBytes(littleEndian, separator, encodeUtf8(name), separator, payload)
  // With a colon in the name, the same bytes would be an event of a shorter one.
  if (!name.includes(':') && equalBytes(sha384(first), digest)) return true
  const hex = Array.from(payload, (byte) => byte.toString(16).padStart(2, '0')).join('')
  // Members in their order by RFC 8785.
  const second = JSON.stringify({ name, payload: hex, type })
  return equalBytes(sha384(encodeUtf8(second)), digest)
}

function parseEvents(log: Uint8Array): readonly Event[] {
  if (log.length > maxLogBytes) refuse()
  try {
    const list = decodeJson(log)
    if (!Array.isArray(list) || list.length > maxEvents) refuse()
    return list.map(parseEvent)
  } catch (cause) {
    throw new EvidenceError('event-log-malformed', '', { cause })
  }
}

function parseEvent(value: CborValue): Event {
  const members = ['imr', 'event_type', 'digest', 'event', 'event_payload']
  const fields = openMap(value, members, [], 'evidence-malformed')
  const digest = fromHex(fields.text('digest', 2 * digestBytes, 2 * digestBytes))
  const payload = fromHex(fields.text('event_payload', 0, maxPayloadChars))
  if (digest === undefined || payload === undefined) refuse()
  return {
    register: fields.integer('imr', 0, registers - 1),
    type: fields.integer('event_type', 0, 0xffffffff),
    digest,
    name: fields.text('event', 0, 64),
    payload,
  }
}

function refuse(): never {
  throw new EvidenceError('event-log-malformed')
}
