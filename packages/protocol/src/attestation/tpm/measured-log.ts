/** What the gateway measures into a PCR before it makes any key, and the replay of it (spec/attestation.md). */
import { concatBytes, encodeUtf8, equalBytes } from '../../bytes/byte-string.ts'
import { decodeCbor } from '../../bytes/cbor-decode.ts'
import { encodeCbor, isCborArray, type CborValue } from '../../bytes/cbor-encode.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { maxMeasuredEvents, maxMeasuredLogBytes, pcrBytes } from '../limits.ts'

/** One event: what was measured, and the 32 bytes that stand for it. */
export type MeasuredEvent = { readonly name: string; readonly digest: Uint8Array }

/** With a slash: no event can be called like a PCR. */
const nameForm = /^[a-z0-9.-]{1,31}\/[a-z0-9.-]{1,31}$/

/** The events of a gateway, in their order: each exactly once. */
const gatewayEvents = ['countersign/build', 'countersign/configuration'] as const

/** The events that a gateway measures at its start. Both digests have 32 bytes. */
export function listGatewayEvents(
  buildDigest: Uint8Array,
  configDigest: Uint8Array,
): readonly MeasuredEvent[] {
  const [build, configuration] = gatewayEvents
  return [
    { name: build, digest: buildDigest },
    { name: configuration, digest: configDigest },
  ]
}

/** What a PCR of the SHA-256 bank is extended with for an event. */
export function toExtension({ name, digest }: MeasuredEvent): Uint8Array {
  return sha256(concatBytes(encodeUtf8(`countersign/measure/v1\0${name}\0`), digest))
}

/** A log of what one PCR was extended with since the machine started. */
export type MeasuredLog = { readonly pcr: number; readonly events: readonly MeasuredEvent[] }

/** The bytes of a log. */
export function encodeMeasuredLog({ pcr, events }: MeasuredLog): Uint8Array {
  return encodeCbor([pcr, events.map(({ name, digest }) => [name, digest])])
}

/**
 * Parses a log of 1 to 64 events with distinct names, of a PCR from 8 to 15: those cannot be reset without the machine.
 *
 * @throws EvidenceError `event-log-malformed`.
 */
export function parseMeasuredLog(bytes: Uint8Array): MeasuredLog {
  const [pcr, list, ...rest] = toArray(decodeLog(bytes))
  const isPcr = typeof pcr === 'number' && pcr >= 8 && pcr <= 15
  const events = toArray(list).map(readEvent)
  const isDistinct = new Set(events.map(({ name }) => name)).size === events.length
  const isCounted = events.length > 0 && events.length <= maxMeasuredEvents
  if (!isPcr || rest.length > 0 || !isDistinct || !isCounted) refuse()
  return { pcr, events }
}

/** The value of a PCR of the SHA-256 bank that began at zero and was extended with these events and nothing else. */
export function replayEvents(events: readonly MeasuredEvent[]): Uint8Array {
  let value: Uint8Array = new Uint8Array(pcrBytes)
  for (const event of events) value = sha256(concatBytes(value, toExtension(event)))
  return value
}

/** How many of the events a PCR has taken already, or `undefined` when it holds anything else. */
export function countMeasured(
  events: readonly MeasuredEvent[],
  value: Uint8Array,
): number | undefined {
  for (let count = 0; count <= events.length; count++) {
    if (equalBytes(replayEvents(events.slice(0, count)), value)) return count
  }
  return undefined
}

function decodeLog(bytes: Uint8Array): CborValue {
  try {
    return decodeCbor(bytes, maxMeasuredLogBytes)
  } catch (cause) {
    throw new EvidenceError('event-log-malformed', '', { cause })
  }
}

function readEvent(value: CborValue): MeasuredEvent {
  const [name, digest, ...rest] = toArray(value)
  const isName = typeof name === 'string' && nameForm.test(name)
  const isDigest = digest instanceof Uint8Array && digest.length === pcrBytes
  if (!isName || !isDigest || rest.length > 0) refuse()
  return { name, digest }
}

function toArray(value: CborValue | undefined): readonly CborValue[] {
  if (!isCborArray(value)) refuse()
  return value
}

function refuse(): never {
  throw new EvidenceError('event-log-malformed')
}
