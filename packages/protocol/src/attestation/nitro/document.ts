/** Attestation documents of AWS Nitro Enclaves and NitroTPM, as bytes: nothing here is verified (spec/attestation.md). */
import { equalBytes } from '../../bytes/byte-string.ts'
import { decodeCbor, decodeForeignCbor } from '../../bytes/cbor-decode.ts'
import { isCborArray, isCborMap, type CborValue } from '../../bytes/cbor-encode.ts'
import { openMap, type MapReader } from '../../bytes/map-reader.ts'
import { ProtocolError } from '../../errors.ts'
import { encodeSigStructure } from '../../receipt/cose.ts'
import { refuse, refuseUnless } from '../evidence-errors.ts'
import { maxNitroBytes, maxNitroCertificates, nitroPcrBytes } from '../limits.ts'

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
  readonly userData: Uint8Array | null
  /** The COSE Sig_structure: what was signed. */
  readonly signedBytes: Uint8Array
  /** r ‖ s, 48 bytes each. */
  readonly signature: Uint8Array
}

const moduleId = /^(i-[0-9a-f]{8,32})-(enc|tpm)[0-9a-f]{1,64}$/
const tagSign1 = 0xd2
// {1: -35}: ES384 and nothing else.
const protectedHeader = Uint8Array.of(0xa1, 0x01, 0x38, 0x22)
const code = 'nitro-malformed'
// By kind: the name of the registers, that of the other kind, and what made the document.
const names = {
  'aws-nitro': ['pcrs', 'nitrotpm_pcrs', 'enc'],
  'aws-nitrotpm': ['nitrotpm_pcrs', 'pcrs', 'tpm'],
} as const

/**
 * Parses a document of this kind that fills the input.
 *
 * @throws EvidenceError `nitro-malformed`; `nitro-kind-mismatch` for a document of the other kind.
 */
export function parseNitroDocument(bytes: Uint8Array, kind: NitroKind): NitroDocument {
  try {
    return parseEnvelope(bytes, kind)
  } catch (cause) {
    if (cause instanceof ProtocolError) refuse(code, '', cause)
    throw cause
  }
}

function parseEnvelope(bytes: Uint8Array, kind: NitroKind): NitroDocument {
  const isTagged = bytes[0] === tagSign1
  const envelope = decodeCbor(isTagged ? bytes.subarray(1) : bytes, maxNitroBytes)
  const [header, unprotected, payload, signature, ...rest] = isCborArray(envelope) ? envelope : []
  refuseUnless(header instanceof Uint8Array && equalBytes(header, protectedHeader), code)
  refuseUnless(isCborMap(unprotected) && unprotected.size === 0 && rest.length === 0, code)
  refuseUnless(payload instanceof Uint8Array && isOfSize(signature, 2 * nitroPcrBytes), code)
  return {
    ...parsePayload(decodeForeignCbor(payload, maxNitroBytes), kind),
    signedBytes: encodeSigStructure(header, payload),
    signature,
  }
}

function parsePayload(
  payload: CborValue,
  kind: NitroKind,
): Omit<NitroDocument, 'signedBytes' | 'signature'> {
  const [pcrsKey, otherKey, source] = names[kind]
  refuseUnless(!isCborMap(payload) || !payload.has(otherKey), 'nitro-kind-mismatch')
  const fields = openMap(
    payload,
    ['module_id', 'digest', 'timestamp', pcrsKey, 'certificate', 'cabundle'],
    ['public_key', 'user_data', 'nonce'],
    'evidence-malformed',
  )
  refuseUnless(fields.value('digest') === 'SHA384', code)
  bytesOrNull(fields, 'public_key', 1, 1024)
  bytesOrNull(fields, 'nonce', 0, 512)
  // `i-0123456789abcdef0-enc0123456789abcdef`, or `-tpm…`.
  const [, instanceId, made] = moduleId.exec(fields.text('module_id', 1, 256)) ?? []
  refuseUnless(instanceId !== undefined && made === source, code)
  const bundle = fields.array('cabundle', 1, maxNitroCertificates)
  const certificates = [...bundle, fields.value('certificate')].map((value) => {
    refuseUnless(value instanceof Uint8Array && value.length > 0 && value.length <= 1024, code)
    return value
  })
  return {
    kind,
    instanceId,
    timeMs: fields.integer('timestamp'),
    pcrs: parsePcrs(fields.value(pcrsKey)),
    certificates,
    userData: bytesOrNull(fields, 'user_data', 0, 512),
  }
}

/** PCR 0–2 must be there, or nobody could tell debug mode. */
function parsePcrs(value: CborValue): ReadonlyMap<number, Uint8Array> {
  refuseUnless(isCborMap(value), code)
  const pcrs = new Map<number, Uint8Array>()
  for (const [index, pcr] of value) {
    const isIndex = typeof index === 'number' && index >= 0 && index < 32
    refuseUnless(isIndex && isOfSize(pcr, nitroPcrBytes), code)
    pcrs.set(index, pcr)
  }
  const hasFirst = pcrs.has(0) && pcrs.has(1) && pcrs.has(2)
  refuseUnless(hasFirst, code)
  return pcrs
}

function isOfSize(value: CborValue | undefined, bytes: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === bytes
}

/** AWS has null or nothing where nothing was given. */
function bytesOrNull(
  fields: MapReader,
  key: string,
  minimum: number,
  maximum: number,
): Uint8Array | null {
  if (!fields.has(key) || fields.value(key) === null) return null
  return fields.bytes(key, minimum, maximum)
}
