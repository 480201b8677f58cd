/** A P-256 key for TLS, in a certificate that it signs itself; it leaves the process for the gateway's own workers only. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto'
import { isIPv4 } from 'node:net'
import type { Es256Signer } from '@countersign/protocol/crypto/es256'
import { nativeSha256 } from './native-sha256.ts'
import { createEs256Signer } from './receipt-key.ts'

/** What a TLS server needs, and what the keyset says of it. */
export type TlsKey = {
  readonly keyPem: string
  readonly certificatePem: string
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly spkiDigest: Uint8Array
  readonly signer: Es256Signer
}

/**
 * Makes a new key. Nobody but the keyset vouches for its certificate: names and dates are there because clients
 * cannot do without them.
 *
 * @param names - host names or IPv4 addresses, at least one.
 */
export function createTlsKey(
  names: readonly string[],
  notBeforeMs: number,
  notAfterMs: number,
): TlsKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const certificate = signCertificate(privateKey, spki, { names, notBeforeMs, notAfterMs })
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return importTlsKey({ keyPem, certificatePem: toPem(certificate) })
}

/** The key of this text, which another process of this gateway has made. */
export function importTlsKey(pem: Pick<TlsKey, 'keyPem' | 'certificatePem'>): TlsKey {
  const privateKey = createPrivateKey(pem.keyPem)
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  return { ...pem, spkiDigest: nativeSha256(spki), signer: createEs256Signer(privateKey) }
}

type Terms = {
  readonly names: readonly string[]
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

const tags = {
  integer: 2,
  bits: 3,
  octets: 4,
  oid: 6,
  text: 12,
  sequence: 0x30,
  set: 0x31,
} as const
const generalizedTime = 0x18
const utcTime = 0x17
// Object identifiers in DER, without their heads.
const ecdsaWithSha256 = Buffer.from('2a8648ce3d040302', 'hex')
const commonName = Buffer.from('550403', 'hex')
const subjectAltName = Buffer.from('551d11', 'hex')
const basicConstraints = Buffer.from('551d13', 'hex')
const isCritical = Buffer.from('0101ff', 'hex')

function signCertificate(key: KeyObject, spki: Uint8Array, terms: Terms): Uint8Array {
  const algorithm = element(tags.sequence, element(tags.oid, ecdsaWithSha256))
  const name = nameOf('countersign gateway')
  // The first bit of a serial number is its sign.
  const serial = Buffer.concat([Uint8Array.of(1), randomBytes(15)])
  const extensions = element(
    tags.sequence,
    element(
      tags.sequence,
      element(tags.oid, basicConstraints),
      isCritical,
      element(tags.octets, element(tags.sequence)),
    ),
    element(
      tags.sequence,
      element(tags.oid, subjectAltName),
      element(tags.octets, element(tags.sequence, ...terms.names.map(generalNameOf))),
    ),
  )
  const unsigned = element(
    tags.sequence,
    element(0xa0, element(tags.integer, Uint8Array.of(2))),
    element(tags.integer, serial),
    algorithm,
    name,
    element(tags.sequence, timeOf(terms.notBeforeMs), timeOf(terms.notAfterMs)),
    name,
    spki,
    element(0xa3, extensions),
  )
  const signature = Buffer.concat([Uint8Array.of(0), sign('sha256', unsigned, key)])
  return element(tags.sequence, unsigned, algorithm, element(tags.bits, signature))
}

function nameOf(text: string): Uint8Array {
  const attribute = element(
    tags.sequence,
    element(tags.oid, commonName),
    element(tags.text, Buffer.from(text)),
  )
  return element(tags.sequence, element(tags.set, attribute))
}

function generalNameOf(name: string): Uint8Array {
  return isIPv4(name)
    ? element(0x87, Uint8Array.from(name.split('.'), Number))
    : element(0x82, Buffer.from(name, 'latin1'))
}

/** UTCTime until 2049 (RFC 5280 §4.1.2.5). */
function timeOf(timeMs: number): Uint8Array {
  const text = `${new Date(timeMs).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
  return text < '2050'
    ? element(utcTime, Buffer.from(text.slice(2), 'latin1'))
    : element(generalizedTime, Buffer.from(text, 'latin1'))
}

/** One DER element of at most 65,535 bytes. */
function element(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents)
  const { length } = content
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Uint8Array.of(tag, ...head), content])
}

function toPem(certificate: Uint8Array): string {
  const lines = Buffer.from(certificate)
    .toString('base64')
    .replaceAll(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}
