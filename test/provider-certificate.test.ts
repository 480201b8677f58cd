import { X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { expect, test } from 'vitest'
import {
  createCertificateAuthority,
  expiredValidity,
  issueServerCertificate,
} from './provider/certificate.ts'
import {
  derBitString,
  derElement,
  derObjectIdentifier,
  derTime,
  derUnsignedInteger,
} from './provider/der.ts'
import { startLoopbackProvider } from './provider/start.ts'
import type { StartOptions, TlsLoopbackProvider } from './provider/start.ts'

const nowMs = Date.UTC(2026, 10, 21, 12)
const names = ['localhost', 'api.loopback.test', '127.0.0.1']

interface Handshake {
  readonly error: string | null
  readonly protocol: string | null
  readonly alpn: string | false | null
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

async function handshake(
  provider: TlsLoopbackProvider,
  options: ConnectionOptions = {},
): Promise<Handshake> {
  const { hostname: host, port } = new URL(provider.url)
  const target = { host, port: Number.parseInt(port, 10), ca: provider.caPem, ...options }
  return new Promise((resolve) => {
    const socket: TLSSocket = connect(target, () => {
      resolve({ error: null, protocol: socket.getProtocol(), alpn: socket.alpnProtocol })
      socket.destroy()
    })
    socket.on('error', (error: Error) => {
      const code = 'code' in error && typeof error.code === 'string' ? error.code : error.message
      resolve({ error: code, protocol: null, alpn: null })
    })
  })
}

async function withProvider(
  options: StartOptions,
  use: (provider: TlsLoopbackProvider) => Promise<void>,
): Promise<void> {
  const provider = await startLoopbackProvider(options)
  try {
    await use(provider)
  } finally {
    await provider.stop()
  }
}

test('issues a certificate that its own authority signed and another one did not', () => {
  const authority = createCertificateAuthority({ nowMs })
  const namesake = createCertificateAuthority({ nowMs })
  const root = new X509Certificate(authority.certificatePem)
  const otherRoot = new X509Certificate(namesake.certificatePem)
  const leaf = new X509Certificate(issueServerCertificate(authority, names).certificatePem)
  expect(root.subject).toBe(otherRoot.subject)
  expect(root.verify(root.publicKey)).toBe(true)
  expect(leaf.verify(root.publicKey)).toBe(true)
  expect(leaf.verify(otherRoot.publicKey)).toBe(false)
  expect(leaf.checkIssued(root)).toBe(true)
  expect(leaf.checkIssued(otherRoot)).toBe(false)
})

test('marks the root as an authority and the leaf as none, for server use and P-256', () => {
  const authority = createCertificateAuthority({ nowMs })
  const root = new X509Certificate(authority.certificatePem)
  const leaf = new X509Certificate(issueServerCertificate(authority, names).certificatePem)
  expect([root.ca, leaf.ca]).toEqual([true, false])
  expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
  expect(leaf.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' })
  expect(leaf.signatureAlgorithm).toBe('ecdsa-with-SHA256')
  expect(leaf.serialNumber).not.toBe(root.serialNumber)
})

test('puts each name into the certificate and no other', () => {
  const authority = createCertificateAuthority({ nowMs })
  const leaf = new X509Certificate(issueServerCertificate(authority, names).certificatePem)
  expect(leaf.subjectAltName).toBe('DNS:localhost, DNS:api.loopback.test, IP Address:127.0.0.1')
  expect(leaf.checkHost('api.loopback.test')).toBe('api.loopback.test')
  expect(leaf.checkHost('other.loopback.test')).toBeUndefined()
  expect(leaf.checkIP('127.0.0.1')).toBe('127.0.0.1')
  expect(leaf.checkIP('127.0.0.2')).toBeUndefined()
})

test('takes validity from the given time', () => {
  const authority = createCertificateAuthority({ nowMs })
  const root = new X509Certificate(authority.certificatePem)
  const leaf = new X509Certificate(issueServerCertificate(authority, names).certificatePem)
  const expired = issueServerCertificate(authority, names, expiredValidity(authority))
  expect(root.validFromDate.toISOString()).toBe('2026-11-21T11:00:00.000Z')
  expect(root.validToDate.toISOString()).toBe('2036-11-18T12:00:00.000Z')
  expect(leaf.validToDate.toISOString()).toBe('2027-02-19T12:00:00.000Z')
  const { validToDate } = new X509Certificate(expired.certificatePem)
  expect(validToDate.toISOString()).toBe('2026-11-20T12:00:00.000Z')
})

test('issues certificates of which no signed bit can be turned', () => {
  const authority = createCertificateAuthority({ nowMs })
  const rootKey = new X509Certificate(authority.certificatePem).publicKey
  const der = new X509Certificate(issueServerCertificate(authority, names).certificatePem).raw
  let accepted = 0
  let parsed = 0
  for (let bit = 0; bit < der.length * 8; bit += 7) {
    const changed = Buffer.from(der)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    try {
      const certificate = new X509Certificate(changed)
      parsed++
      // A signature may have a second encoding of the same numbers; signed bytes may not.
      if (certificate.verify(rootKey)) accepted++
    } catch {
      // Refused while parsing, which is as good.
    }
  }
  expect(parsed).toBeGreaterThan(100)
  expect(accepted).toBe(0)
})

test('writes DER as X.690 wants it', () => {
  expect(hex(derObjectIdentifier('1.2.840.10045.4.3.2'))).toBe('06082a8648ce3d040302')
  expect(hex(derObjectIdentifier('2.5.29.17'))).toBe('0603551d11')
  expect(hex(derUnsignedInteger(Uint8Array.of(0)))).toBe('020100')
  expect(hex(derUnsignedInteger(Uint8Array.of(0, 0, 0x7f)))).toBe('02017f')
  expect(hex(derUnsignedInteger(Uint8Array.of(0x80)))).toBe('02020080')
  expect(hex(derBitString(Uint8Array.of(0x06), 1))).toBe('03020106')
  expect(hex(derElement(0x04, new Uint8Array(0x7f))).slice(0, 4)).toBe('047f')
  expect(hex(derElement(0x04, new Uint8Array(0x80))).slice(0, 6)).toBe('048180')
  expect(hex(derElement(0x04, new Uint8Array(0x100))).slice(0, 8)).toBe('04820100')
  expect(Buffer.from(derTime(Date.UTC(2049, 11, 31, 23, 59, 59))).toString('latin1')).toBe(
    '\u0017\u000d491231235959Z',
  )
  expect(Buffer.from(derTime(Date.UTC(2050, 0, 1))).toString('latin1')).toBe(
    '\u0018\u000f20500101000000Z',
  )
})

test('serves TLS 1.3 and HTTP/1.1 with a chain that only its own authority completes', async () => {
  await withProvider({}, async (provider) => {
    const good = { error: null, protocol: 'TLSv1.3', alpn: 'http/1.1' }
    const alpn = { ALPNProtocols: ['h2', 'http/1.1'] }
    expect(await handshake(provider, alpn)).toEqual(good)
    expect(await handshake(provider, { ...alpn, servername: 'localhost' })).toEqual(good)
    const foreign = createCertificateAuthority({ nowMs: Date.now() }).certificatePem
    const untrusted = await handshake(provider, { ca: foreign })
    expect(untrusted.error).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE')
    const old = await handshake(provider, { maxVersion: 'TLSv1.2' })
    expect(old.error).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  })
})

test('can present the certificate of another host', async () => {
  await withProvider({ certNames: ['other.loopback.test'] }, async (provider) => {
    expect((await handshake(provider)).error).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    const asOther = await handshake(provider, { servername: 'other.loopback.test' })
    expect(asOther.error).toBeNull()
  })
})

test('can present an expired certificate', async () => {
  await withProvider({ certExpired: true }, async (provider) => {
    expect((await handshake(provider)).error).toBe('CERT_HAS_EXPIRED')
  })
})

test('can speak only TLS 1.2', async () => {
  await withProvider({ tlsMax: '1.2' }, async (provider) => {
    expect((await handshake(provider)).protocol).toBe('TLSv1.2')
    expect((await handshake(provider, { minVersion: 'TLSv1.3' })).error).not.toBeNull()
  })
})
