/** Quotes of Intel SGX and TDX, versions 3 to 5 (spec/attestation.md AT7.1, AT7.2). All integers are little-endian. */
import { toHex } from '../../bytes/text-encoding.ts'
import { openByteReader, type ByteReader } from '../byte-reader.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { enclaveReportBytes, maxQuoteBytes } from '../limits.ts'

/** What is measured: an enclave, or a trust domain (with what version 1.5 of the module added). */
export type QuoteBody = {
  readonly kind: 'sgx' | 'tdx'
  readonly bytes: Uint8Array
}

/** The parsed quote. Nothing in it is verified. */
export type Quote = {
  readonly body: QuoteBody
  /** Header and body: what the attestation key signs. */
  readonly signed: Uint8Array
  readonly signature: Uint8Array
  /** x ‖ y on P-256. */
  readonly attestationKey: Uint8Array
  /** The report of the quoting enclave, and the signature of the processor's certified key over it. */
  readonly qeReport: Uint8Array
  readonly qeSignature: Uint8Array
  readonly qeAuthData: Uint8Array
  /** The chain of the processor's certificate, leaf first. */
  readonly pckChain: Uint8Array
}

type Form = readonly [kind: QuoteBody['kind'], teeType: number, length: number]

const code = 'quote-malformed'
const intelVendor = '939a7233f79c4ca9940a0db3957f0607'
const sgxForm: Form = ['sgx', 0, enclaveReportBytes]
const tdxForm: Form = ['tdx', 0x81, 584]
const tdx15Form: Form = ['tdx', 0x81, 648]

/**
 * Parses a quote. Zero bytes may follow it (virtual machines hand out padded buffers), nothing else.
 *
 * @throws EvidenceError `quote-malformed`, `quote-version-unsupported`.
 */
export function parseQuote(bytes: Uint8Array): Quote {
  refuseUnless(bytes.length <= maxQuoteBytes, code, 'length')
  const reader = openByteReader(bytes, code, 'little')
  const version = reader.u16()
  refuseUnless(version >= 3 && version <= 5, 'quote-version-unsupported')
  const keyType = reader.u16()
  const teeType = reader.u32()
  reader.take(4)
  const vendor = toHex(reader.take(16))
  reader.take(20)
  // 2 is ECDSA over P-256; other quoting enclaves than Intel's are not known here.
  refuseUnless(keyType === 2 && vendor === intelVendor, code, 'header')
  const body = takeBody(reader, version, teeType)
  const signed = bytes.subarray(0, reader.offset())
  const signatureData = reader.take(reader.u32())
  const isPadding = reader.rest().every((byte) => byte === 0)
  refuseUnless(isPadding, code, 'padding')
  return { body, signed, ...parseSignatureData(signatureData, version) }
}

function takeBody(reader: ByteReader, version: number, expectedType: number): QuoteBody {
  const form = version === 3 ? sgxForm : version === 4 ? tdxForm : takeForm(reader)
  const [kind, teeType, length] = form
  refuseUnless(teeType === expectedType, code, 'tee-type')
  return { kind, bytes: reader.take(length) }
}

/** A quote of version 5 says what its body is. */
function takeForm(reader: ByteReader): Form {
  const form = [sgxForm, tdxForm, tdx15Form][reader.u16() - 1]
  const length = reader.u32()
  refuseUnless(form !== undefined && form[2] === length, code, 'body')
  return form
}

function parseSignatureData(bytes: Uint8Array, version: number): Omit<Quote, 'body' | 'signed'> {
  const reader = openByteReader(bytes, code, 'little')
  const signature = reader.take(64)
  const attestationKey = reader.take(64)
  // Since version 4 the rest is wrapped once more.
  const wrapped = version === 3 ? reader.rest() : takeCertificationData(reader, 6)
  reader.end()
  const inner = openByteReader(wrapped, code, 'little')
  const qeReport = inner.take(enclaveReportBytes)
  const qeSignature = inner.take(64)
  const qeAuthData = inner.take(inner.u16())
  const pem = takeCertificationData(inner, 5)
  inner.end()
  // A C string: its end belongs to the bytes.
  const pckChain = pem.at(-1) === 0 ? pem.subarray(0, -1) : pem
  return { signature, attestationKey, qeReport, qeSignature, qeAuthData, pckChain }
}

function takeCertificationData(reader: ByteReader, type: number): Uint8Array {
  refuseUnless(reader.u16() === type, code, 'certification-data')
  return reader.take(reader.u32())
}
