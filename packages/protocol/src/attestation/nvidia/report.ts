/** SPDM 1.1 measurement reports of NVIDIA GPUs, as bytes: nothing here is verified (spec/attestation.md). */
import { copyBytes, decodeUtf8 } from '../../bytes/byte-string.ts'
import { toHex } from '../../bytes/text-encoding.ts'
import { openByteReader, type ByteReader } from '../byte-reader.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { gpuDigestBytes, maxGpuReportBytes } from '../limits.ts'
import {
  decoderType,
  driverType,
  firmwareType,
  nonceBytes,
  off,
  pcieType,
  signatureBytes,
  vbiosType,
} from './report-numbers.ts'

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

const code = 'nvidia-malformed'
// GET_MEASUREMENTS of SPDM 1.1: signature requested, all measurements.
const requestHead = '11e001ff'
const responseHead = '1160'
// Specification 1 (DMTF), 51 bytes: a type, a length of 48, the digest.
const blockHead = '013300'

/**
 * Parses a request and its response, which together fill the input.
 *
 * @throws EvidenceError `nvidia-malformed`.
 */
export function parseNvidiaReport(bytes: Uint8Array): NvidiaReport {
  refuseUnless(bytes.length <= maxGpuReportBytes, code)
  const reader = openByteReader(bytes, code, 'little')
  expectHex(reader, requestHead)
  const nonce = reader.take(nonceBytes)
  reader.u8()
  expectHex(reader, responseHead)
  reader.u16()
  const measurements = parseMeasurements(reader)
  reader.take(nonceBytes)
  const opaque = parseOpaque(reader.take(reader.u16()))
  const signedBytes = copyBytes(bytes, 0, reader.offset())
  const signature = reader.take(signatureBytes)
  reader.end()
  const firmwareId = opaque.get(firmwareType) ?? null
  refuseUnless(firmwareId === null || firmwareId.length === gpuDigestBytes, code)
  return {
    nonce,
    measurements,
    driverVersion: parseText(opaque.get(driverType)),
    vbiosVersion: parseVbios(opaque.get(vbiosType)),
    firmwareId,
    isDecoderOff: opaque.get(decoderType)?.[0] === off,
    isPcieProtected: opaque.has(pcieType) && opaque.get(pcieType)?.[0] !== off,
    signedBytes,
    signature,
  }
}

/** DSP0274 measurement blocks: each a digest of 48 bytes under an index of its own. */
function parseMeasurements(reader: ByteReader): ReadonlyMap<number, Uint8Array> {
  const count = reader.u8()
  const record = openByteReader(reader.take(reader.integer(3)), code, 'little')
  const measurements = new Map<number, Uint8Array>()
  while (!record.isAtEnd()) {
    const index = record.u8()
    expectHex(record, blockHead)
    const isDigest = record.u8() < 128
    refuseUnless(isDigest && !measurements.has(index) && record.u16() === gpuDigestBytes, code)
    measurements.set(index, record.take(gpuDigestBytes))
  }
  refuseUnless(measurements.size === count && count > 0, code)
  return measurements
}

/** NVIDIA's list of type, length, value. A type occurs once. */
function parseOpaque(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const reader = openByteReader(bytes, code, 'little')
  const values = new Map<number, Uint8Array>()
  while (!reader.isAtEnd()) {
    const type = reader.u16()
    refuseUnless(!values.has(type), code)
    values.set(type, reader.take(reader.u16()))
  }
  return values
}

/** Printable ASCII that one zero byte ends. */
function parseText(bytes: Uint8Array = refuse(code)): string {
  const text = String(decodeUtf8(bytes))
  refuseUnless(/^[!-~]+\0$/.test(text), code)
  return text.slice(0, -1)
}

/** Eight bytes: `005e0096 01 000000` stands for 96.00.5E.00.01. */
function parseVbios(bytes: Uint8Array = refuse(code)): string {
  const pairs = Array.from(bytes, (byte) => toHex(Uint8Array.of(byte)).toUpperCase())
  const [first, second, third, fourth, fifth, ...padding] = pairs
  refuseUnless(padding.join('') === '000000', code)
  return [fourth, third, second, first, fifth].join('.')
}

function expectHex(reader: ByteReader, expected: string): void {
  refuseUnless(toHex(reader.take(expected.length / 2)) === expected, code)
}
