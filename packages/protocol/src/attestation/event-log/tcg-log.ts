/** Event logs of firmware, crypto-agile form (TCG PC Client Platform Firmware Profile §10; the CCEL of TDX too). */
import { concatBytes, equalBytes } from '../../bytes/byte-string.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { openByteReader, type ByteReader } from '../byte-reader.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import {
  maxAlgorithms,
  maxBootEvents,
  maxBootLogBytes,
  maxDigestBytes,
  maxRegister,
} from '../limits.ts'

/** Measurement registers of one hash: its number, its width, and how a register goes on from a digest. */
export type RegisterBank = {
  readonly algorithm: number
  readonly bytes: number
  readonly digest: (bytes: Uint8Array) => Uint8Array
}

/** One event of one register. */
export type BootEvent = {
  readonly register: number
  readonly type: number
  readonly digest: Uint8Array
  readonly payload: Uint8Array
}

/** A log, replayed: the events that were extended, and the value that they lead to for each register they name. */
export type ReplayedLog = {
  readonly events: readonly BootEvent[]
  readonly registers: ReadonlyMap<number, Uint8Array>
}

/** Most bytes of a log. */

/** The SHA-256 bank: PCRs of TPMs. */
export const sha256Bank: RegisterBank = { algorithm: 0x0b, bytes: 32, digest: sha256 }

// Digests of SHA-256 and SHA-384 have their width, whichever is replayed.
const widths: ReadonlyMap<number, number> = new Map([
  [0x0b, 32],
  [0x0c, 48],
])
const noAction = 3
const signature = 'Spec ID Event03\0'
const startupLocality = 'StartupLocality\0'

const code = 'event-log-malformed'

/**
 * Parses and replays a log that fills the bytes, for one hash.
 *
 * Registers begin at zero; register 0 at the locality of the start where the log states one.
 *
 * @throws EvidenceError `event-log-malformed`, also when the log is not kept for that hash.
 */
export function replayBootLog(bytes: Uint8Array, bank: RegisterBank): ReplayedLog {
  refuseUnless(bytes.length <= maxBootLogBytes, code)
  const reader = openByteReader(bytes, code, 'little')
  const sizes = readHead(reader)
  const { bytes: width, digest: hashBytes } = bank
  const events: BootEvent[] = []
  const registers = new Map<number, Uint8Array>()
  while (!reader.isAtEnd()) {
    const event = readEvent(reader, sizes, bank)
    const { register, type, digest, payload } = event
    if (type === noAction) {
      // Little more than a comment, but for the locality: later it would wipe out what was measured.
      if (!isLocality(payload)) continue
      refuseUnless(register === 0 && !registers.has(0), code)
      registers.set(0, concatBytes(new Uint8Array(width - 1), payload.subarray(16)))
    } else {
      const before = registers.get(register) ?? new Uint8Array(width)
      registers.set(register, hashBytes(concatBytes(before, digest)))
      refuseUnless(events.length < maxBootEvents, code)
      events.push(event)
    }
  }
  return { events, registers }
}

/** True when the digest is the hash of the payload; otherwise the payload is only somebody's word for it. */
export function isPayloadMeasured({ payload, digest }: BootEvent, bank: RegisterBank): boolean {
  return equalBytes(bank.digest(payload), digest)
}

/** Sizes of the digests in each event, by the hash's number. */
function readHead(reader: ByteReader): ReadonlyMap<number, number> {
  const isHead = reader.u32() === 0 && reader.u32() === noAction
  const digest = reader.take(20)
  refuseUnless(isHead && digest.every((byte) => byte === 0), code)
  const body = openByteReader(reader.take(reader.u32()), code, 'little')
  refuseUnless(toAscii(body.take(signature.length)) === signature, code)
  body.take(8)
  const sizes = new Map<number, number>()
  for (let left = body.count(maxAlgorithms); left > 0; left--) {
    const algorithm = body.u16()
    const size = body.u16()
    const isSize = size <= maxDigestBytes && size === (widths.get(algorithm) ?? size)
    refuseUnless(isSize && !sizes.has(algorithm), code)
    sizes.set(algorithm, size)
  }
  body.take(body.u8())
  body.end()
  return sizes
}

function readEvent(
  reader: ByteReader,
  sizes: ReadonlyMap<number, number>,
  bank: RegisterBank,
): BootEvent {
  const register = reader.u32()
  const type = reader.u32()
  // Each bank has its digest, once.
  refuseUnless(register <= maxRegister && reader.u32() === sizes.size, code)
  const digests = new Map<number, Uint8Array>()
  while (digests.size < sizes.size) {
    const algorithm = reader.u16()
    refuseUnless(!digests.has(algorithm), code)
    digests.set(algorithm, reader.take(sizes.get(algorithm) ?? refuse(code)))
  }
  const digest = digests.get(bank.algorithm) ?? refuse(code)
  return { register, type, digest, payload: reader.take(reader.u32()) }
}

function isLocality(payload: Uint8Array): boolean {
  return payload.length === 17 && toAscii(payload.subarray(0, 16)) === startupLocality
}

function toAscii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
