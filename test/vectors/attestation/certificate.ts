/** Certificates and revocation lists under synthetic roots: right by default, wrong in one place by an edit. */
import { createHash } from 'node:crypto'
import {
  derBitString,
  derBoolean,
  derElement,
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derSetOfOne,
  derTime,
  derUnsignedInteger,
  derUtf8String,
} from '../../provider/der.ts'
import { seededKey, type TestKey } from './test-key.ts'

/** What goes into a certificate. */
export type CertificatePlan = {
  readonly subject: string
  readonly issuer: string
  readonly serial: number
  readonly key: TestKey
  readonly issuerKey: TestKey
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly extensions: readonly Uint8Array[]
}

/** What goes into a revocation list. */
export type RevocationListPlan = {
  readonly issuer: string
  readonly key: TestKey
  readonly thisUpdateMs: number
  readonly nextUpdateMs: number
  readonly revoked: readonly { readonly serial: number; readonly atMs: number }[]
}

const algorithmOids = { 'P-256': '1.2.840.10045.4.3.2', 'P-384': '1.2.840.10045.4.3.3' } as const

/** What an authority is: the certificates that may follow below it, and its key's use. */
export function authorityExtensions(maxPathLength?: number): readonly Uint8Array[] {
  return [basicConstraints(true, maxPathLength), keyUsage(0b0000_0110)]
}

/** What one that signs and issues nothing is. */
export function signerExtensions(): readonly Uint8Array[] {
  return [basicConstraints(false), keyUsage(0b1000_0000)]
}

/** basicConstraints, critical. */
export function basicConstraints(isAuthority: boolean, maxPathLength?: number): Uint8Array {
  const parts = isAuthority ? [derBoolean(true)] : []
  if (maxPathLength !== undefined) parts.push(derUnsignedInteger(Uint8Array.of(maxPathLength)))
  return createExtension('2.5.29.19', true, derSequence(...parts))
}

/** keyUsage, critical: digitalSignature is the highest bit, keyCertSign 4 and cRLSign 2. */
export function keyUsage(bits: number): Uint8Array {
  const unusedBits = Math.log2(bits & -bits)
  return createExtension('2.5.29.15', true, derBitString(Uint8Array.of(bits), unusedBits))
}

/** Any extension. */
export function createExtension(oid: string, isCritical: boolean, value: Uint8Array): Uint8Array {
  const parts = isCritical ? [derBoolean(true)] : []
  return derSequence(derObjectIdentifier(oid), ...parts, derOctetString(value))
}

/** Plans of a chain, root first: each is issued by the one before. The last one signs, the others issue. */
export function planChain(
  name: string,
  dates: readonly (readonly [notBeforeMs: number, notAfterMs: number])[],
): readonly CertificatePlan[] {
  return dates.map(([notBeforeMs, notAfterMs], depth) => {
    const above = `${name} ${Math.max(depth - 1, 0)}`
    const below = dates.length - 2 - depth
    return {
      subject: `${name} ${depth}`,
      issuer: above,
      serial: 1000 + depth,
      key: seededKey(`${name} ${depth}`),
      issuerKey: seededKey(above),
      notBeforeMs,
      notAfterMs,
      extensions:
        below < 0 ? signerExtensions() : authorityExtensions(depth === 0 ? undefined : below),
    }
  })
}

/** The DER of a certificate. */
export function createCertificate(plan: CertificatePlan): Uint8Array {
  const algorithm = algorithmOf(plan.issuerKey)
  const toBeSigned = derSequence(
    derElement(0xa0, derUnsignedInteger(Uint8Array.of(2))),
    derUnsignedInteger(toBytes(plan.serial)),
    algorithm,
    createName(plan.issuer),
    derSequence(derTime(plan.notBeforeMs), derTime(plan.notAfterMs)),
    createName(plan.subject),
    plan.key.spki,
    derElement(0xa3, derSequence(...plan.extensions)),
  )
  return seal(toBeSigned, algorithm, plan.issuerKey)
}

/** The DER of a revocation list. */
export function createRevocationList(plan: RevocationListPlan): Uint8Array {
  const algorithm = algorithmOf(plan.key)
  const entries = plan.revoked.map(({ serial, atMs }) =>
    derSequence(derUnsignedInteger(toBytes(serial)), derTime(atMs)),
  )
  const number = createExtension('2.5.29.20', false, derUnsignedInteger(Uint8Array.of(1)))
  const toBeSigned = derSequence(
    derUnsignedInteger(Uint8Array.of(1)),
    algorithm,
    createName(plan.issuer),
    derTime(plan.thisUpdateMs),
    derTime(plan.nextUpdateMs),
    ...(entries.length === 0 ? [] : [derSequence(...entries)]),
    derElement(0xa0, derSequence(number)),
  )
  return seal(toBeSigned, algorithm, plan.key)
}

/** What a pin of this certificate is: SHA-256 in hex. */
export function pinOf(certificate: Uint8Array): string {
  return createHash('sha256').update(certificate).digest('hex')
}

/** PEM of 64 columns. */
export function toPem(certificates: readonly Uint8Array[]): Uint8Array {
  const blocks = certificates.map((certificate) => {
    const lines =
      Buffer.from(certificate)
        .toString('base64')
        .match(/.{1,64}/g) ?? []
    return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
  })
  return Uint8Array.from(Buffer.from(blocks.join('')))
}

function seal(toBeSigned: Uint8Array, algorithm: Uint8Array, key: TestKey): Uint8Array {
  const raw = key.sign(toBeSigned)
  const half = raw.length / 2
  const signature = derSequence(
    derUnsignedInteger(raw.subarray(0, half)),
    derUnsignedInteger(raw.subarray(half)),
  )
  return Uint8Array.from(derSequence(toBeSigned, algorithm, derBitString(signature)))
}

function algorithmOf({ curve }: TestKey): Uint8Array {
  return derSequence(derObjectIdentifier(algorithmOids[curve]))
}

function createName(commonName: string): Uint8Array {
  const attribute = derSequence(derObjectIdentifier('2.5.4.3'), derUtf8String(commonName))
  return derSequence(derSetOfOne(attribute))
}

function toBytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}
