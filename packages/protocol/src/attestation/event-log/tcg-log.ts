/** Event logs of firmware, crypto-agile form (TCG PC Client Platform Firmware Profile §10; the CCEL of TDX too). */
import { concatBytes, copyBytes, equalBytes } from '../../bytes/byte-string.ts'
import { sha256 } from '../../crypto/sha256.ts'
import { EvidenceError } from '../evidence-errors.ts'

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
  /** True when the digest is the hash of the payload; otherwise the payload is only somebody's word for it. */
  readonly isPayloadMeasured: boolean
}

/** A log, replayed: the events that were extended, and the value that they lead to for each register they name. */
export type ReplayedLog = {
  readonly events: readonly BootEvent[]
  readonly registers: ReadonlyMap<number, Uint8Array>
}

/** Most bytes of a log. */
const maxBootLogBytes = 262_144

/** The SHA-256 bank: PCRs of TPMs. */
export const sha256Bank: RegisterBank = { algorithm: 0x0b, bytes: 32, digest: sha256 }

// Digests of SHA-256 and SHA-384 have their width, whichever is replayed.
const widths: ReadonlyMap<number, number> = new Map([
  [0x0b, 32],
  [0x0c, 48],
])
const noAction = 3
const maxEvents = 4096
const maxAlgorithms = 8
const maxDigestBytes = 64
const maxRegister = 23
const signature = 'Spec ID Event03\0'
const startupLocality = 'StartupLocality\0'

type Reader = {
  readonly isAtEnd: () => boolean
  u8(): number
  u16(): number
  u32(): number
  take(length: number): Uint8Array
}

/**
 * Parses and replays a log that fills the bytes, for one hash.
 *
 * Registers begin at zero; register 0 at the locality of the start where the log states one.
 *
 * @throws EvidenceError `event-log-malformed`, also when the log is not kept for that hash.
 */
export function replayBootLog(bytes: Uint8Array, bank: RegisterBank): ReplayedLog {
  if (bytes.length > maxBootLogBytes) refuse()
  const reader = openReader(bytes)
  const sizes = readHead(reader)
  const { bytes: width, digest: hashBytes } = bank
  const events: BootEvent[] = []
  const registers = new Map<number, Uint8Array>()
  while (!reader.isAtEnd()) {
    const event = readEvent(reader, sizes, bank)
    if (event.type === noAction) {
      if (isLocality(event, registers)) registers.set(0, startValue(event.payload, width))
      continue
    }
    const before = registers.get(event.register) ?? new Uint8Array(width)
    registers.set(event.register, hashBytes(concatBytes(before, event.digest)))
    if (events.length === maxEvents) refuse()
    events.push(event)
  }
  return { events, registers }
}

/** Sizes of the digests in each event, by the hash's number. */
function readHead(reader: Reader): ReadonlyMap<number, number> {
  const register = reader.u32()
  const type = reader.u32()
  const digest = reader.take(20)
  const body = openReader(reader.take(reader.u32()))
  const isHead = register === 0 && type === noAction && equalBytes(digest, new Uint8Array(20))
  if (!isHead || toAscii(body.take(signature.length)) !== signature) refuse()
  body.take(8)
  const count = body.u32()
  if (count > maxAlgorithms) refuse()
  const sizes = new Map<number, number>()
  for (let index = 0; index < count; index++) {
    const algorithm = body.u16()
    const size = body.u16()
    const width = widths.get(algorithm)
    const isSize = width === undefined ? size <= maxDigestBytes : size === width
    if (sizes.has(algorithm) || !isSize) refuse()
    sizes.set(algorithm, size)
  }
  body.take(body.u8())
  if (!body.isAtEnd()) refuse()
  return sizes
}

function readEvent(
  reader: Reader,
  sizes: ReadonlyMap<number, number>,
  bank: RegisterBank,
): BootEvent {
  const register = reader.u32()
  const type = reader.u32()
  // Each bank has its digest, once.
  if (register > maxRegister || reader.u32() !== sizes.size) refuse()
  const digests = new Map<number, Uint8Array>()
  for (let index = 0; index < sizes.size; index++) {
    const algorithm = reader.u16()
    const size = sizes.get(algorithm)
    if (size === undefined || digests.has(algorithm)) refuse()
    digests.set(algorithm, reader.take(size))
  }
  const payload = reader.take(reader.u32())
  for (const [algorithm, digest] of digests) {
    if (algorithm !== bank.algorithm) continue
    const isPayloadMeasured = equalBytes(bank.digest(payload), digest)
    return { register, type, digest, payload, isPayloadMeasured }
  }
  return refuse()
}

/** Only before anything else of register 0: later it would wipe out what was measured. */
function isLocality(
  { register, payload }: BootEvent,
  registers: ReadonlyMap<number, Uint8Array>,
): boolean {
  const isNamed = payload.length === 17 && toAscii(payload.subarray(0, 16)) === startupLocality
  if (isNamed && (register !== 0 || registers.has(0))) refuse()
  return isNamed
}

function startValue(payload: Uint8Array, width: number): Uint8Array {
  return concatBytes(new Uint8Array(width - 1), payload.subarray(16))
}

/** Little-endian, unlike everything else of a TPM. */
function openReader(bytes: Uint8Array): Reader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // Owned here: moved by `advance` only.
  let offset = 0
  const advance = (length: number): number => {
    const start = offset
    if (length > bytes.length - start) refuse()
    offset += length
    return start
  }
  return {
    isAtEnd: () => offset === bytes.length,
    u8: () => view.getUint8(advance(1)),
    u16: () => view.getUint16(advance(2), true),
    u32: () => view.getUint32(advance(4), true),
    take: (length) => {
      const start = advance(length)
      return copyBytes(bytes, start, start + length)
    },
  }
}

function toAscii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

function refuse(): never {
  throw new EvidenceError('event-log-malformed')
}
