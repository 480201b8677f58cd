/**
 * A certificate authority made at run time for loopback TLS: P-256, X.509 v3, signed with
 * node:crypto, no external tool. Real certificates, so clients under test verify a real chain; by
 * choice of names and dates it also issues the bad ones that they must refuse.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import type { KeyObject } from 'node:crypto'
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
} from './der.ts'

/** A self-signed root that can issue server certificates. */
export interface CertificateAuthority {
  readonly commonName: string
  readonly certificatePem: string
  readonly privateKey: KeyObject
  /** SHA-1 of the public key, used as key identifier (RFC 5280 §4.2.1.2 method 1). */
  readonly keyIdentifier: Uint8Array
  readonly nowMs: number
}

/** A leaf certificate with its private key, both PEM, as `node:tls` takes them. */
export interface ServerCertificate {
  readonly certificatePem: string
  readonly privateKeyPem: string
}

/** Validity of what is issued, in ms since 1970. */
export interface Validity {
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

interface CertificateFields {
  readonly subject: string
  readonly issuer: string
  readonly validity: Validity
  readonly subjectPublicKeyInfo: Uint8Array
  readonly extensions: readonly Uint8Array[]
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const ecdsaWithSha256 = derSequence(derObjectIdentifier('1.2.840.10045.4.3.2'))

/**
 * Makes a new root, valid from one hour before `nowMs` for `validityMs` (default ten years).
 * Each call makes a new key: two roots never verify each other's certificates, even when their
 * names are equal.
 */
export function createCertificateAuthority(options: {
  readonly nowMs: number
  readonly commonName?: string
  readonly validityMs?: number
}): CertificateAuthority {
  const commonName = options.commonName ?? 'Loopback provider test CA'
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subjectPublicKeyInfo = publicKey.export({ type: 'spki', format: 'der' })
  const keyIdentifier = toKeyIdentifier(subjectPublicKeyInfo)
  const certificatePem = signCertificate(
    {
      subject: commonName,
      issuer: commonName,
      validity: {
        notBeforeMs: options.nowMs - hourMs,
        notAfterMs: options.nowMs + (options.validityMs ?? 3650 * dayMs),
      },
      subjectPublicKeyInfo,
      extensions: [
        extension('2.5.29.19', true, derSequence(derBoolean(true))),
        // keyCertSign (bit 5) and cRLSign (bit 6)
        extension('2.5.29.15', true, derBitString(Uint8Array.of(0b0000_0110), 1)),
        extension('2.5.29.14', false, derOctetString(keyIdentifier)),
      ],
    },
    privateKey,
  )
  return { commonName, certificatePem, privateKey, keyIdentifier, nowMs: options.nowMs }
}

/**
 * Issues a TLS server certificate for DNS names and IPv4 addresses (at least one). By default it
 * is valid from one hour before the authority's `nowMs` for 90 days; pass a past `validity` for an
 * expired one, or foreign names for one that must fail the host-name check.
 */
export function issueServerCertificate(
  authority: CertificateAuthority,
  names: readonly string[],
  validity: Validity = {
    notBeforeMs: authority.nowMs - hourMs,
    notAfterMs: authority.nowMs + 90 * dayMs,
  },
): ServerCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subjectPublicKeyInfo = publicKey.export({ type: 'spki', format: 'der' })
  const certificatePem = signCertificate(
    {
      subject: names[0] ?? 'unnamed',
      issuer: authority.commonName,
      validity,
      subjectPublicKeyInfo,
      extensions: [
        extension('2.5.29.19', true, derSequence()),
        // digitalSignature (bit 0)
        extension('2.5.29.15', true, derBitString(Uint8Array.of(0b1000_0000), 7)),
        // extended key usage: id-kp-serverAuth
        extension('2.5.29.37', false, derSequence(derObjectIdentifier('1.3.6.1.5.5.7.3.1'))),
        extension('2.5.29.17', false, derSequence(...names.map(toGeneralName))),
        extension('2.5.29.14', false, derOctetString(toKeyIdentifier(subjectPublicKeyInfo))),
        extension('2.5.29.35', false, derSequence(derElement(0x80, authority.keyIdentifier))),
      ],
    },
    authority.privateKey,
  )
  const privateKeyPem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  return { certificatePem, privateKeyPem: privateKeyPem.toString() }
}

/** A validity that ended one day before the authority was made. */
export function expiredValidity(authority: CertificateAuthority): Validity {
  return { notBeforeMs: authority.nowMs - 30 * dayMs, notAfterMs: authority.nowMs - dayMs }
}

function signCertificate(fields: CertificateFields, issuerKey: KeyObject): string {
  const toBeSigned = derSequence(
    derElement(0xa0, derUnsignedInteger(Uint8Array.of(2))), // version 3
    derUnsignedInteger(randomBytes(16)),
    ecdsaWithSha256,
    toName(fields.issuer),
    derSequence(derTime(fields.validity.notBeforeMs), derTime(fields.validity.notAfterMs)),
    toName(fields.subject),
    fields.subjectPublicKeyInfo,
    derElement(0xa3, derSequence(...fields.extensions)),
  )
  const signature = sign('sha256', toBeSigned, issuerKey)
  const certificate = derSequence(toBeSigned, ecdsaWithSha256, derBitString(signature))
  return toPem('CERTIFICATE', certificate)
}

function extension(identifier: string, critical: boolean, value: Uint8Array): Uint8Array {
  const parts = [derObjectIdentifier(identifier)]
  if (critical) parts.push(derBoolean(true))
  parts.push(derOctetString(value))
  return derSequence(...parts)
}

function toName(commonName: string): Uint8Array {
  const attribute = derSequence(derObjectIdentifier('2.5.4.3'), derUtf8String(commonName))
  return derSequence(derSetOfOne(attribute))
}

function toGeneralName(name: string): Uint8Array {
  return isIP(name) === 4
    ? derElement(
        0x87,
        Uint8Array.from(name.split('.'), (part) => Number.parseInt(part, 10)),
      )
    : derElement(0x82, Buffer.from(name, 'ascii'))
}

/** SHA-1 here only names a key; nothing trusts it. A P-256 SPKI ends in its 65-byte point. */
function toKeyIdentifier(subjectPublicKeyInfo: Uint8Array): Uint8Array {
  return createHash('sha1').update(subjectPublicKeyInfo.subarray(-65)).digest()
}

function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
