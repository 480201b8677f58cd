/** X.509 version 3 certificates (spec/attestation.md AT2), as strict as their issuers can be held to. */
import { toHex } from '../../bytes/text-encoding.ts'
import { sha256 } from '../../crypto/sha256.ts'
import type { PublicKey } from '../../crypto/verify-signature.ts'
import { refuseUnless } from '../evidence-errors.ts'
import { openSigned, parsePublicKey, type SignedDer } from './algorithm.ts'
import { openSequence, type DerReader } from './der.ts'
import {
  anyKeyUsage,
  bitStringTag,
  booleanTag,
  octetStringTag,
  oidTag,
  sequenceTag,
} from './der-numbers.ts'
import { takeTime } from './time.ts'
import { maxExtensions, maxSerialBytes } from '../limits.ts'

/** An extension: the content of its OCTET STRING. */
export type Extension = { readonly isCritical: boolean; readonly value: Uint8Array }

/** Extensions by the hex of the content of their OBJECT IDENTIFIER. */
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
  /** What its key may do: the first byte of keyUsage, all bits where the certificate does not restrict it. */
  readonly keyUsage: number
}

/** Most bytes of one certificate. */
export const maxCertificateBytes = 8192

// 2.5.29.15 and 2.5.29.19.
const keyUsage = '551d0f'
const basicConstraints = '551d13'

/** Extensions that every chain here understands. */
export const understoodExtensions: ReadonlySet<string> = new Set([keyUsage, basicConstraints])

const code = 'certificate-malformed'

type Body = Omit<Certificate, 'encoded' | 'digest' | 'signed'>

/**
 * Parses one certificate.
 *
 * @throws EvidenceError `certificate-malformed`, `certificate-algorithm`, `certificate-key`.
 */
export function parseCertificate(encoded: Uint8Array): Certificate {
  refuseUnless(encoded.length <= maxCertificateBytes, code)
  return { ...openSigned(encoded, code, parseBody), encoded, digest: toHex(sha256(encoded)) }
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
  for (const fields of list.openAll()) {
    const id = toHex(fields.take(oidTag).content)
    const isCritical = fields.peek() === booleanTag
    if (isCritical) takeTrue(fields, refusal)
    const value = fields.take(octetStringTag).content
    fields.finish()
    refuseUnless(!extensions.has(id) && extensions.size < maxExtensions, refusal)
    extensions.set(id, { isCritical, value })
  }
  refuseUnless(extensions.size > 0, refusal)
  return extensions
}

function parseBody(tbs: DerReader): { algorithm: Uint8Array; value: Body } {
  const version = tbs.open(0xa0)
  // Version 3 is written as 2.
  refuseUnless(version.small() === 2, code)
  version.finish()
  const serial = tbs.unsigned()
  refuseUnless(serial.length <= maxSerialBytes, code)
  const algorithm = tbs.take(sequenceTag).encoded
  const issuer = tbs.take(sequenceTag).encoded
  const dates = tbs.open(sequenceTag)
  const notBeforeMs = takeTime(dates, code)
  const notAfterMs = takeTime(dates, code)
  dates.finish()
  const subject = tbs.take(sequenceTag).encoded
  const publicKey = parsePublicKey(tbs.take(sequenceTag).encoded)
  const extensions = takeExtensions(tbs)
  const value = {
    serial: toHex(serial),
    issuer,
    subject,
    notBeforeMs,
    notAfterMs,
    publicKey,
    extensions,
    authority: parseAuthority(extensions.get(basicConstraints)),
    keyUsage: parseKeyUsage(extensions.get(keyUsage)),
  }
  return { algorithm, value }
}

function takeExtensions(tbs: DerReader): Extensions {
  if (tbs.peek() === undefined) return new Map()
  const wrapper = tbs.open(0xa3)
  const extensions = parseExtensions(wrapper.open(sequenceTag), code)
  wrapper.finish()
  return extensions
}

function parseAuthority(extension: Extension | undefined): Certificate['authority'] {
  if (extension === undefined) return undefined
  const fields = openSequence(extension.value, code)
  if (fields.peek() === undefined) return undefined
  takeTrue(fields, code)
  const maxPathLength = fields.peek() === undefined ? Infinity : fields.small()
  fields.finish()
  return { maxPathLength }
}

function parseKeyUsage(extension: Extension | undefined): number {
  if (extension === undefined) return anyKeyUsage
  // BIT STRING of one or two bytes: its bits are counted from the highest of the first byte.
  const { value } = extension
  const [tag, length, unusedBits = 8, first = 0] = value
  const isWhole = length === value.length - 2 && (length === 2 || length === 3)
  refuseUnless(tag === bitStringTag && isWhole && unusedBits < 8, code)
  return first
}

/** A BOOLEAN that is written down is true: false is the default of both. */
function takeTrue(fields: DerReader, refusal: 'certificate-malformed' | 'crl-malformed'): void {
  refuseUnless(toHex(fields.take(booleanTag).content) === 'ff', refusal)
}
