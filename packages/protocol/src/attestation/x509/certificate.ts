/** X.509 version 3 certificates (spec/attestation.md AT2), as strict as their issuers can be held to. */
import { toHex } from '../../bytes/text-encoding.ts'
import { sha256 } from '../../crypto/sha256.ts'
import type { PublicKey } from '../../crypto/verify-signature.ts'
import { EvidenceError } from '../evidence-errors.ts'
import { openSigned, parsePublicKey, type SignedDer } from './algorithm.ts'
import { derTags, openSequence, toOidHex, type DerReader } from './der.ts'
import { takeTime } from './time.ts'

/** An extension: the content of its OCTET STRING. */
export type Extension = { readonly isCritical: boolean; readonly value: Uint8Array }

/** Extensions by the hex of their OBJECT IDENTIFIER (`toOidHex`). */
export type Extensions = ReadonlyMap<string, Extension>

/** A parsed certificate. Nothing in it is verified. Names are compared as bytes; dates are milliseconds. */
export type Certificate = {
  readonly encoded: Uint8Array
  /** SHA-256 of the DER in hex: what a pin is. */
  readonly digest: string
  /** The magnitude in hex. */
  readonly serial: string
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly publicKey: PublicKey
  readonly extensions: Extensions
  readonly signed: SignedDer
  /** `undefined` when the certificate is no authority. */
  readonly authority: { readonly maxPathLength: number } | undefined
  /** `undefined` when the certificate does not restrict its key. */
  readonly keyUsage: KeyUsage | undefined
}

/** What the key of a certificate may do. */
export type KeyUsage = {
  readonly signs: boolean
  readonly signsCertificates: boolean
  readonly signsLists: boolean
}

/** Most bytes of one certificate. */
export const maxCertificateBytes = 8192

/** Extensions that every chain here understands. */
export const understoodExtensions: ReadonlySet<string> = /* @__PURE__ */ new Set([
  toOidHex('2.5.29.15'),
  toOidHex('2.5.29.19'),
])

const code = 'certificate-malformed'
const maxSerialBytes = 20
const maxExtensions = 32

type Body = Omit<Certificate, 'encoded' | 'digest' | 'signed'>

/**
 * Parses one certificate.
 *
 * @throws EvidenceError `certificate-malformed`, `certificate-algorithm`, `certificate-key`.
 */
export function parseCertificate(encoded: Uint8Array): Certificate {
  if (encoded.length > maxCertificateBytes) throw new EvidenceError(code)
  const { signed, value } = openSigned(encoded, code, parseBody)
  return { ...value, encoded, digest: toHex(sha256(encoded)), signed }
}

/**
 * Takes SEQUENCE OF Extension.
 *
 * @throws EvidenceError with `refusal`, also for two of one kind and for a critical one that says so as false.
 */
export function parseExtensions(
  list: DerReader,
  refusal: 'certificate-malformed' | 'crl-malformed',
): Extensions {
  const extensions = new Map<string, Extension>()
  while (list.peek() !== undefined) {
    const fields = list.open(derTags.sequence)
    const id = toHex(fields.take(derTags.oid).content)
    const isCritical = fields.peek() === derTags.boolean
    if (isCritical && !isTrue(fields)) throw new EvidenceError(refusal)
    const value = fields.take(derTags.octetString).content
    fields.finish()
    if (extensions.has(id) || extensions.size === maxExtensions) throw new EvidenceError(refusal)
    extensions.set(id, { isCritical, value })
  }
  if (extensions.size === 0) throw new EvidenceError(refusal)
  return extensions
}

function parseBody(tbs: DerReader): { algorithm: Uint8Array; value: Body } {
  const version = tbs.open(0xa0)
  // Version 3 is written as 2.
  if (version.small() !== 2) throw new EvidenceError(code)
  version.finish()
  const serial = tbs.unsigned()
  if (serial.length > maxSerialBytes) throw new EvidenceError(code)
  const algorithm = tbs.take(derTags.sequence).encoded
  const issuer = tbs.take(derTags.sequence).encoded
  const dates = tbs.open(derTags.sequence)
  const notBeforeMs = takeTime(dates, code)
  const notAfterMs = takeTime(dates, code)
  dates.finish()
  const subject = tbs.take(derTags.sequence).encoded
  const publicKey = parsePublicKey(tbs.take(derTags.sequence).encoded)
  const extensions = takeExtensions(tbs)
  const value = {
    serial: toHex(serial),
    issuer,
    subject,
    notBeforeMs,
    notAfterMs,
    publicKey,
    extensions,
    authority: parseAuthority(extensions),
    keyUsage: parseKeyUsage(extensions),
  }
  return { algorithm, value }
}

function takeExtensions(tbs: DerReader): Extensions {
  if (tbs.peek() === undefined) return new Map()
  const wrapper = tbs.open(0xa3)
  const extensions = parseExtensions(wrapper.open(derTags.sequence), code)
  wrapper.finish()
  return extensions
}

function parseAuthority(extensions: Extensions): Certificate['authority'] {
  const extension = extensions.get(toOidHex('2.5.29.19'))
  if (extension === undefined) return undefined
  const fields = openSequence(extension.value, code)
  if (fields.peek() === undefined) return undefined
  if (!isTrue(fields)) throw new EvidenceError(code)
  const maxPathLength = fields.peek() === undefined ? Number.MAX_SAFE_INTEGER : fields.small()
  fields.finish()
  return { maxPathLength }
}

function parseKeyUsage(extensions: Extensions): KeyUsage | undefined {
  const extension = extensions.get(toOidHex('2.5.29.15'))
  if (extension === undefined) return undefined
  // BIT STRING of one or two bytes: its bits are counted from the highest of the first byte.
  const [tag, length, unusedBits = 8, first = 0] = extension.value
  const isWhole = length === extension.value.length - 2 && (length === 2 || length === 3)
  if (tag !== derTags.bitString || !isWhole || unusedBits > 7) throw new EvidenceError(code)
  return {
    signs: (first & 0x80) !== 0,
    signsCertificates: (first & 0x04) !== 0,
    signsLists: (first & 0x02) !== 0,
  }
}

function isTrue(fields: DerReader): boolean {
  const { content } = fields.take(derTags.boolean)
  return content.length === 1 && content[0] === 0xff
}
