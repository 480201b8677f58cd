/** SPDM 1.1 measurement reports of NVIDIA GPUs, as bytes: nothing here is verified (spec/attestation.md). */
import { copyBytes, decodeUtf8, equalBytes } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import { EvidenceError } from '../evidence-errors.ts'

/** What a report says. */
export type NvidiaReport = {
  /** 32 bytes that the one who asked chose. */
  readonly nonce: Uint8Array
  /** 48 bytes each, by index from 1. */
  readonly measurements: ReadonlyMap<number, Uint8Array>
  readonly driverVersion: string
  /** As NVIDIA writes it: `96.00.5E.00.01`. */
  readonly vbiosVersion: string
  /** The hash of the firmware, for comparison with the certificate; early firmware has none. */
  readonly firmwareId: Uint8Array | null
  /** True when the video decoder is off, so that index 35 says nothing. */
  readonly isDecoderOff: boolean
  /** True in the mode for several GPUs, which trusts the links between them. */
  readonly isPcieProtected: boolean
  readonly signedBytes: Uint8Array
  /** r ‖ s, 48 bytes each. */
  readonly signature: Uint8Array
}

const maxReportBytes = 16_384
const nonceBytes = 32
const digestBytes = 48
const signatureBytes = 96
// GET_MEASUREMENTS of SPDM 1.1: signature requested, all measurements.
const requestHead = Uint8Array.of(0x11, 0xe0, 0x01, 0xff)
const responseHead = Uint8Array.of(0x11, 0x60)
// Specification 1 (DMTF), 51 bytes: a type, a length of 48, the digest.
const blockHead = Uint8Array.of(1, digestBytes + 3, 0)
const digestSize = Uint8Array.of(digestBytes, 0)
const opaqueTypes = { driver: 3, vbios: 6, decoder: 11, firmwareId: 20, pcie: 21 }
const isOff = 0x55

type Reader = { readonly bytes: Uint8Array; offset: number }

/**
 * Parses a request and its response, which together fill the input.
 *
 * @throws EvidenceError `nvidia-malformed`.
 */
export function parseNvidiaReport(bytes: Uint8Array): NvidiaReport {
  if (bytes.length > maxReportBytes) throw new EvidenceError('nvidia-malformed')
  const reader = { bytes, offset: 0 }
  expectBytes(reader, requestHead)
  const nonce = take(reader, nonceBytes)
  take(reader, 1)
  expectBytes(reader, responseHead)
  take(reader, 2)
  const measurements = parseMeasurements(reader)
  take(reader, nonceBytes)
  const opaque = parseOpaque(take(reader, takeInteger(reader, 2)))
  const signedBytes = copyBytes(bytes, 0, reader.offset)
  const signature = take(reader, signatureBytes)
  if (reader.offset !== bytes.length) throw new EvidenceError('nvidia-malformed')
  const firmwareId = opaque.get(opaqueTypes.firmwareId) ?? null
  if (firmwareId !== null && firmwareId.length !== digestBytes)
    throw new EvidenceError('nvidia-malformed')
  return {
    nonce,
    measurements,
    driverVersion: parseText(opaque.get(opaqueTypes.driver)),
    vbiosVersion: parseVbios(opaque.get(opaqueTypes.vbios)),
    firmwareId,
    isDecoderOff: opaque.get(opaqueTypes.decoder)?.[0] === isOff,
    isPcieProtected: opaque.has(opaqueTypes.pcie) && opaque.get(opaqueTypes.pcie)?.[0] !== isOff,
    signedBytes,
    signature,
  }
}

/** DSP0274 measurement blocks: each a digest of 48 bytes under an index of its own. */
function parseMeasurements(reader: Reader): ReadonlyMap<number, Uint8Array> {
  const count = takeInteger(reader, 1)
  const record = { bytes: take(reader, takeInteger(reader, 3)), offset: 0 }
  const measurements = new Map<number, Uint8Array>()
  for (let block = 0; block < count; block++) {
    const index = takeInteger(record, 1)
    expectBytes(record, blockHead)
    const isRaw = takeInteger(record, 1) > 127
    expectBytes(record, digestSize)
    if (isRaw || measurements.has(index)) throw new EvidenceError('nvidia-malformed')
    measurements.set(index, take(record, digestBytes))
  }
  if (count === 0 || record.offset !== record.bytes.length)
    throw new EvidenceError('nvidia-malformed')
  return measurements
}

/** NVIDIA's list of type, length, value. A type occurs once. */
function parseOpaque(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const reader = { bytes, offset: 0 }
  const values = new Map<number, Uint8Array>()
  while (reader.offset < bytes.length) {
    const type = takeInteger(reader, 2)
    if (values.has(type)) throw new EvidenceError('nvidia-malformed')
    values.set(type, take(reader, takeInteger(reader, 2)))
  }
  return values
}

/** Printable ASCII that one zero byte ends. */
function parseText(bytes: Uint8Array | undefined): string {
  const text = bytes === undefined ? undefined : decodeUtf8(bytes)
  if (text === undefined || !/^[!-~]+\0$/.test(text)) throw new EvidenceError('nvidia-malformed')
  return text.slice(0, -1)
}

/** Eight bytes: `005e0096 01 000000` stands for 96.00.5E.00.01. */
function parseVbios(bytes: Uint8Array | undefined): string {
  const isKnown = bytes?.length === 8 && bytes.subarray(5).every((byte) => byte === 0)
  if (!isKnown) throw new EvidenceError('nvidia-malformed')
  const inOrder = [...bytes.subarray(0, 4).toReversed(), ...bytes.subarray(4, 5)]
  return inOrder.map((byte) => toHex(Uint8Array.of(byte)).toUpperCase()).join('.')
}

function expectBytes(reader: Reader, expected: Uint8Array): void {
  if (!equalBytes(take(reader, expected.length), expected))
    throw new EvidenceError('nvidia-malformed')
}

/** Little-endian. */
function takeInteger(reader: Reader, width: number): number {
  return take(reader, width).reduceRight((value, byte) => value * 256 + byte, 0)
}

function take(reader: Reader, length: number): Uint8Array {
  const end = reader.offset + length
  if (end > reader.bytes.length) throw new EvidenceError('nvidia-malformed')
  const taken = copyBytes(reader.bytes, reader.offset, end)
  reader.offset = end
  return taken
}
