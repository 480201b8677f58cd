/** Attestation documents of AWS Nitro Enclaves and NitroTPM, as bytes: nothing here is verified (spec/attestation.md). */
import { equalBytes } from '../../bytes/byte-string.ts'
import { decodeCbor, decodeForeignCbor } from '../../bytes/cbor-decode.ts'
import { isCborArray, isCborMap, type CborValue } from '../../bytes/cbor-encode.ts'
import { openMap, type MapReader } from '../../bytes/map-reader.ts'
import { ProtocolError } from '../../errors.ts'
import { encodeSigStructure } from '../../receipt/cose.ts'
import { EvidenceError } from '../evidence-errors.ts'

/** Which of the two kinds of document: their PCR numbers mean different things. */
export type NitroKind = 'aws-nitro' | 'aws-nitrotpm'

/** What a document says. `null` where AWS has null or nothing. */
export type NitroDocument = {
  readonly kind: NitroKind
  /** The EC2 instance: `module_id` up to its last part. */
  readonly instanceId: string
  /** The hypervisor's clock. */
  readonly timeMs: number
  /** 48 bytes each, by number. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>
  /** DER, root first, the signing certificate last. */
  readonly certificates: readonly Uint8Array[]
  readonly publicKey: Uint8Array | null
  readonly userData: Uint8Array | null
  readonly nonce: Uint8Array | null
  /** The COSE Sig_structure: what was signed. */
  readonly signedBytes: Uint8Array
  /** r ‖ s, 48 bytes each. */
  readonly signature: Uint8Array
}

const maxDocumentBytes = 16_384
const maxCertificates = 9
const pcrBytes = 48
const moduleId = /^(i-[0-9a-f]{8,32})-(enc|tpm)[0-9a-f]{1,64}$/
const tagSign1 = 0xd2
// {1: -35}: ES384 and nothing else.
const protectedHeader = Uint8Array.of(0xa1, 0x01, 0x38, 0x22)
// Becomes the cause of `nitro-malformed`.
const malformed = 'evidence-malformed'

/**
 * Parses a document of this kind that fills the input.
 *
 * @throws EvidenceError `nitro-malformed`; `nitro-kind-mismatch` for a document of the other kind.
 */
export function parseNitroDocument(bytes: Uint8Array, kind: NitroKind): NitroDocument {
  try {
    return parseEnvelope(bytes, kind)
  } catch (cause) {
    if (cause instanceof ProtocolError) throw new EvidenceError('nitro-malformed', '', { cause })
    throw cause
  }
}

function parseEnvelope(bytes: Uint8Array, kind: NitroKind): NitroDocument {
  const isTagged = bytes[0] === tagSign1
  const envelope = decodeCbor(isTagged ? bytes.subarray(1) : bytes, maxDocumentBytes)
  const [header, unprotected, payload, signature, ...rest] = isCborArray(envelope) ? envelope : []
  const isHeader = header instanceof Uint8Array && equalBytes(header, protectedHeader)
  const isBare = isCborMap(unprotected) && unprotected.size === 0 && rest.length === 0
  if (!isHeader || !isBare || !(payload instanceof Uint8Array) || !isSignature(signature)) {
    throw new EvidenceError('nitro-malformed')
  }
  return {
    ...parsePayload(decodeForeignCbor(payload, maxDocumentBytes), kind),
    signedBytes: encodeSigStructure(protectedHeader, payload),
    signature,
  }
}

function isSignature(value: CborValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array && value.length === 2 * pcrBytes
}

function parsePayload(
  payload: CborValue,
  kind: NitroKind,
): Omit<NitroDocument, 'signedBytes' | 'signature'> {
  const pcrsKey = kind === 'aws-nitro' ? 'pcrs' : 'nitrotpm_pcrs'
  const otherKey = kind === 'aws-nitro' ? 'nitrotpm_pcrs' : 'pcrs'
  if (isCborMap(payload) && payload.has(otherKey)) throw new EvidenceError('nitro-kind-mismatch')
  const fields = openMap(
    payload,
    ['module_id', 'digest', 'timestamp', pcrsKey, 'certificate', 'cabundle'],
    ['public_key', 'user_data', 'nonce'],
    malformed,
  )
  if (fields.value('digest') !== 'SHA384') throw new EvidenceError('nitro-malformed')
  const bundle = fields.array('cabundle', 1, maxCertificates)
  return {
    kind,
    instanceId: parseModuleId(fields.text('module_id', 1, 256), kind),
    timeMs: fields.integer('timestamp'),
    pcrs: parsePcrs(fields.value(pcrsKey)),
    certificates: [...bundle, fields.value('certificate')].map(parseCertificateBytes),
    publicKey: bytesOrNull(fields, 'public_key', 1, 1024),
    userData: bytesOrNull(fields, 'user_data', 0, 512),
    nonce: bytesOrNull(fields, 'nonce', 0, 512),
  }
}

/** `i-0123456789abcdef0-enc0123456789abcdef`, or `-tpm…`. */
function parseModuleId(text: string, kind: NitroKind): string {
  const [, instanceId, source] = moduleId.exec(text) ?? []
  const isOfKind = source === (kind === 'aws-nitro' ? 'enc' : 'tpm')
  if (instanceId === undefined || !isOfKind) throw new ProtocolError(malformed)
  return instanceId
}

/** PCR 0–2 must be there, or nobody could tell debug mode. */
function parsePcrs(value: CborValue): ReadonlyMap<number, Uint8Array> {
  if (!isCborMap(value)) throw new EvidenceError('nitro-malformed')
  const pcrs = new Map<number, Uint8Array>()
  for (const [index, pcr] of value) {
    const isIndex = typeof index === 'number' && index >= 0 && index < 32
    if (!isIndex || !(pcr instanceof Uint8Array) || pcr.length !== pcrBytes) {
      throw new EvidenceError('nitro-malformed')
    }
    pcrs.set(index, pcr)
  }
  if (![0, 1, 2].every((index) => pcrs.has(index))) throw new EvidenceError('nitro-malformed')
  return pcrs
}

function parseCertificateBytes(value: CborValue): Uint8Array {
  const fits = value instanceof Uint8Array && value.length > 0 && value.length <= 1024
  if (!fits) throw new EvidenceError('nitro-malformed')
  return value
}

function bytesOrNull(
  fields: MapReader,
  key: string,
  minimum: number,
  maximum: number,
): Uint8Array | null {
  if (!fields.has(key) || fields.value(key) === null) return null
  return fields.bytes(key, minimum, maximum)
}
