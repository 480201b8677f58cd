/**
 * Groups of records in a journal file: magic, sequence number, length, CRC-32, records. A crash can tear the last
 * group only, because each is synced before the next is written (spec/payment.md PA20.2).
 */
import { crc32 } from 'node:zlib'

/** What a journal file holds, as far as it can be believed. */
export type JournalContent = {
  /** Payloads of the intact groups, in order. */
  readonly payloads: readonly Uint8Array[]
  /** Where the first group, the checkpoint, ends. */
  readonly checkpointEnd: number
  /** Where the next group is written. Everything behind is zero, or the rest of a torn group. */
  readonly endOffset: number
  readonly lastSequence: number
  readonly torn: boolean
}

/** A file that no crash explains: somebody or something changed it. */
export class JournalDamaged extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'JournalDamaged'
  }
}

const magic = Buffer.from('CSJ1', 'latin1')
const headerBytes = 20

/** One group, ready to be written. */
export function encodeFrame(sequence: number, payload: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(headerBytes + payload.length)
  magic.copy(frame)
  frame.writeBigUInt64BE(BigInt(sequence), 4)
  frame.writeUInt32BE(payload.length, 12)
  frame.set(payload, headerBytes)
  frame.writeUInt32BE(checksum(frame, payload.length), 16)
  return frame
}

/**
 * Reads a whole file.
 *
 * @throws JournalDamaged when it has no first group, or an intact group stands behind a damaged one.
 */
export function decodeFrames(file: Buffer): JournalContent {
  const payloads: Uint8Array[] = []
  let offset = 0
  let lastSequence: number | undefined
  for (;;) {
    const frame = readFrame(file, offset)
    if (frame === undefined) break
    if (lastSequence !== undefined && frame.sequence !== lastSequence + 1) break
    payloads.push(frame.payload)
    lastSequence = frame.sequence
    offset = frame.endOffset
  }
  if (lastSequence === undefined) throw new JournalDamaged('the journal has no checkpoint')
  const rest = file.subarray(offset)
  if (hasLaterFrame(rest, lastSequence)) {
    throw new JournalDamaged(`the journal is damaged at byte ${offset}`)
  }
  const checkpointEnd = headerBytes + (payloads[0]?.length ?? 0)
  const torn = !rest.equals(Buffer.alloc(rest.length))
  return { payloads, checkpointEnd, endOffset: offset, lastSequence, torn }
}

type Frame = {
  readonly sequence: number
  readonly payload: Uint8Array
  readonly endOffset: number
}

function readFrame(file: Buffer, offset: number): Frame | undefined {
  const payloadOffset = offset + headerBytes
  if (payloadOffset > file.length || !file.subarray(offset, offset + 4).equals(magic)) {
    return undefined
  }
  const length = file.readUInt32BE(offset + 12)
  const endOffset = payloadOffset + length
  if (endOffset > file.length) return undefined
  const frame = file.subarray(offset, endOffset)
  if (checksum(frame, length) !== file.readUInt32BE(offset + 16)) return undefined
  const sequence = file.readUIntBE(offset + 6, 6)
  return { sequence, payload: file.subarray(payloadOffset, endOffset), endOffset }
}

/** Over everything but the magic and itself. */
function checksum(frame: Buffer, payloadLength: number): number {
  const payload = frame.subarray(headerBytes, headerBytes + payloadLength)
  return crc32(payload, crc32(frame.subarray(4, 16)))
}

function hasLaterFrame(rest: Buffer, lastSequence: number): boolean {
  for (let at = rest.indexOf(magic); at !== -1; at = rest.indexOf(magic, at + 1)) {
    const frame = readFrame(rest, at)
    if (frame !== undefined && frame.sequence > lastSequence) return true
  }
  return false
}
