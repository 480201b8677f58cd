/** Quotes of Intel SGX and TDX, versions 3 to 5 (spec/attestation.md AT7.1, AT7.2). All integers are little-endian. */
import { toHex } from '../../bytes/text-encoding.ts'
import { EvidenceError } from '../evidence-errors.ts'

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

const enclaveReportBytes = 384

const domainBytes = 584
const domainBytes15 = 648
const intelVendor = '939a7233f79c4ca9940a0db3957f0607'
const sgxType = 0
const tdxType = 0x81
const maxQuoteBytes = 65_536

/** What goes over a byte string from left to right. Owns its offset. */
type Cursor = {
  take(length: number): Uint8Array
  u16(): number
  u32(): number
  readonly offset: () => number
  finish(): void
}

/**
 * Parses a quote. Zero bytes may follow it (virtual machines hand out padded buffers), nothing else.
 *
 * @throws EvidenceError `quote-malformed`, `quote-version-unsupported`.
 */
export function parseQuote(bytes: Uint8Array): Quote {
  if (bytes.length > maxQuoteBytes) throw new EvidenceError('quote-malformed', 'length')
  const cursor = createCursor(bytes)
  const version = cursor.u16()
  if (version < 3 || version > 5) throw new EvidenceError('quote-version-unsupported')
  const keyType = cursor.u16()
  const teeType = cursor.u32()
  cursor.take(4)
  const vendor = toHex(cursor.take(16))
  cursor.take(20)
  // 2 is ECDSA over P-256; other quoting enclaves than Intel's are not known here.
  if (keyType !== 2 || vendor !== intelVendor) throw new EvidenceError('quote-malformed', 'header')
  const body = takeBody(cursor, version, teeType)
  const signed = bytes.subarray(0, cursor.offset())
  const signatureData = cursor.take(cursor.u32())
  if (bytes.subarray(cursor.offset()).some((byte) => byte !== 0)) {
    throw new EvidenceError('quote-malformed', 'padding')
  }
  return { body, signed, ...parseSignatureData(createCursor(signatureData), version) }
}

function takeBody(cursor: Cursor, version: number, teeType: number): QuoteBody {
  const form = version === 5 ? takeForm(cursor) : formOf(version)
  if (teeType !== form.teeType) throw new EvidenceError('quote-malformed', 'tee-type')
  return { kind: form.kind, bytes: cursor.take(form.length) }
}

type Form = {
  readonly kind: 'sgx' | 'tdx'
  readonly teeType: number
  readonly length: number
}

const sgxForm: Form = { kind: 'sgx', teeType: sgxType, length: enclaveReportBytes }
const tdxForm: Form = { kind: 'tdx', teeType: tdxType, length: domainBytes }

function formOf(version: number): Form {
  return version === 3 ? sgxForm : tdxForm
}

/** A quote of version 5 says what its body is. */
function takeForm(cursor: Cursor): Form {
  const type = cursor.u16()
  const length = cursor.u32()
  const forms = [sgxForm, tdxForm, { ...tdxForm, length: domainBytes15 }]
  const form = forms[type - 1]
  if (form?.length !== length) throw new EvidenceError('quote-malformed', 'body')
  return form
}

function parseSignatureData(cursor: Cursor, version: number): Omit<Quote, 'body' | 'signed'> {
  const signature = cursor.take(64)
  const attestationKey = cursor.take(64)
  // Since version 4 the rest is wrapped once more.
  const inner = version === 3 ? cursor : createCursor(takeCertificationData(cursor, 6))
  const qeReport = inner.take(enclaveReportBytes)
  const qeSignature = inner.take(64)
  const qeAuthData = inner.take(inner.u16())
  const pem = takeCertificationData(inner, 5)
  inner.finish()
  cursor.finish()
  // A C string: its end belongs to the bytes.
  const pckChain = pem.at(-1) === 0 ? pem.subarray(0, -1) : pem
  return { signature, attestationKey, qeReport, qeSignature, qeAuthData, pckChain }
}

function takeCertificationData(cursor: Cursor, type: number): Uint8Array {
  if (cursor.u16() !== type) throw new EvidenceError('quote-malformed', 'certification-data')
  return cursor.take(cursor.u32())
}

function createCursor(bytes: Uint8Array): Cursor {
  let offset = 0
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - offset) throw new EvidenceError('quote-malformed', 'length')
    offset += length
    return bytes.subarray(offset - length, offset)
  }
  const integer = (length: number): number =>
    take(length).reduceRight((sum, byte) => sum * 256 + byte, 0)
  return {
    take,
    u16: () => integer(2),
    u32: () => integer(4),
    offset: () => offset,
    finish() {
      if (offset !== bytes.length) throw new EvidenceError('quote-malformed', 'length')
    },
  }
}
