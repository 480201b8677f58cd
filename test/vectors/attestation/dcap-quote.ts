/** Quotes of a made-up processor, right or wrong in any one field. */
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { fromHex } from '@countersign/protocol/bytes/text-encoding'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { seededBytes } from '../signers.ts'
import { seededKey, type TestKey } from './test-key.ts'

/** What deviates from a good quote. */
export type QuoteEdits = {
  readonly version?: 3 | 4 | 5
  /** Names the body of a quote of version 5: 1, 2 or 3. */
  readonly bodyType?: number
  readonly bodySize?: number
  readonly header?: (header: Uint8Array) => void
  readonly body?: (body: Uint8Array) => void
  readonly qeReport?: (report: Uint8Array) => void
  /** After the attestation key was bound into it. */
  readonly boundReport?: (report: Uint8Array) => void
  readonly authData?: Uint8Array
  readonly outerType?: number
  readonly pemType?: number
  /** Bytes behind the certification data, inside and outside of what wraps it. */
  readonly innerTail?: Uint8Array
  readonly outerTail?: Uint8Array
  readonly pem?: (pem: Uint8Array) => Uint8Array
  readonly trailing?: Uint8Array
  /** Bytes that the signature data says it has more than it has. */
  readonly extraLength?: number
  readonly qeSignature?: (signature: Uint8Array) => void
  readonly quoteSignature?: (signature: Uint8Array) => void
}

/** What good evidence is bound to. */
export const dcapReportData: Uint8Array = concatBytes(seededBytes('dcap/1'), seededBytes('dcap/2'))

/** The key that the processor's certificate is of. */
export const dcapProcessorKey: TestKey = seededKey('intel processor', 'P-256')

const attestationKey = seededKey('intel attestation key', 'P-256')
const nothing = new Uint8Array()

/** A quote with the PEM chain of the processor, but for the edits. */
export function forgeQuote(
  kind: 'sgx' | 'tdx',
  pckChain: Uint8Array,
  edits: QuoteEdits,
): Uint8Array {
  const version = edits.version ?? (kind === 'sgx' ? 3 : 4)
  const signed = forgeSigned(kind, version, edits)
  const signature = attestationKey.sign(signed)
  edits.quoteSignature?.(signature)
  const key = attestationKey.point.subarray(1)
  const inner = forgeInner(key, pckChain, edits)
  const rest = version === 3 ? inner : certificationData(edits.outerType ?? 6, inner)
  const data = concatBytes(signature, key, rest, edits.outerTail ?? nothing)
  const length = u32(data.length + (edits.extraLength ?? 0))
  return concatBytes(signed, length, data, edits.trailing ?? nothing)
}

/** Header and body. */
function forgeSigned(kind: 'sgx' | 'tdx', version: number, edits: QuoteEdits): Uint8Array {
  const bodyType = edits.bodyType ?? (kind === 'sgx' ? 1 : 2)
  const header = new Uint8Array(48)
  header.set([version, 0, 2, 0, kind === 'sgx' ? 0 : 0x81])
  header.set(fromHex('939a7233f79c4ca9940a0db3957f0607') ?? nothing, 12)
  edits.header?.(header)
  const body = kind === 'sgx' ? enclaveBody() : domainBody(bodyType === 3 ? 648 : 584)
  edits.body?.(body)
  const form = concatBytes(u16(bodyType), u32(edits.bodySize ?? body.length))
  return concatBytes(header, version === 5 ? form : nothing, body)
}

/** What the quoting enclave adds: its report, signed by the processor, and the certificates of that key. */
function forgeInner(key: Uint8Array, pckChain: Uint8Array, edits: QuoteEdits): Uint8Array {
  const authData = edits.authData ?? seededBytes('auth data')
  const report = qeReport(sha256(concatBytes(key, authData)), edits)
  const qeSignature = dcapProcessorKey.sign(report)
  edits.qeSignature?.(qeSignature)
  const pem = concatBytes(pckChain, Uint8Array.of(0))
  return concatBytes(
    report,
    qeSignature,
    u16(authData.length),
    authData,
    certificationData(edits.pemType ?? 5, edits.pem?.(pem) ?? pem),
    edits.innerTail ?? nothing,
  )
}

function enclaveBody(): Uint8Array {
  const body = new Uint8Array(384)
  body[48] = 0x05
  body.set(seededBytes('mrenclave'), 64)
  body.set(seededBytes('mrsigner'), 128)
  body.set(dcapReportData, 320)
  return body
}

function domainBody(length: number): Uint8Array {
  const body = new Uint8Array(length)
  // Module 1.5: svn 5, version 1; then the platform.
  body.set([5, 1, 3])
  // SEPT_VE_DISABLE.
  body[123] = 0x10
  body.set([0xe7, 0x02, 0x06], 128)
  body.set(seededBytes('mrtd'), 136)
  for (const at of [328, 376, 424, 472]) body.set(seededBytes(`rtmr at ${at}`), at)
  body.set(dcapReportData, 520)
  return body
}

function qeReport(digest: Uint8Array, edits: QuoteEdits): Uint8Array {
  const report = new Uint8Array(384)
  report[48] = 0x11
  report.set(seededBytes('quoting enclave signer'), 128)
  report.set([2, 0, 5, 0], 256)
  edits.qeReport?.(report)
  report.set(digest, 320)
  edits.boundReport?.(report)
  return report
}

function certificationData(type: number, data: Uint8Array): Uint8Array {
  return concatBytes(u16(type), u32(data.length), data)
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value & 255, value >> 8)
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24)
}
