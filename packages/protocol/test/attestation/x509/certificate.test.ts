import {
  maxCertificateBytes,
  parseCertificate,
  type Certificate,
} from '@countersign/protocol/attestation/x509/certificate'
import {
  checkDates,
  checkIssuance,
  checkRoot,
  checkSigner,
  endsOf,
} from '@countersign/protocol/attestation/x509/chain'
import { commonNameOf } from '@countersign/protocol/attestation/x509/name'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
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
} from '../../../../../test/provider/der.ts'
import {
  basicConstraints,
  createCertificate,
  createExtension,
  keyUsage,
  planChain,
} from '../../../../../test/vectors/attestation/certificate.ts'
import { seededKey } from '../../../../../test/vectors/attestation/test-key.ts'
import { bytes, runs } from '../../arbitrary.ts'
import { evidenceRefusalOf, refusalOfAsync } from '../refusal.ts'

const key = seededKey('certificate.test', 'P-256')
const ecdsa = derSequence(derObjectIdentifier('1.2.840.10045.4.3.2'))
const nowMs = Date.parse('2026-06-01T00:00:00Z')
const yearMs = 31_536_000_000
const malformed = 'certificate-malformed'

type Parts = Readonly<
  Record<
    | 'version'
    | 'serial'
    | 'inner'
    | 'issuer'
    | 'dates'
    | 'subject'
    | 'key'
    | 'extensions'
    | 'outer'
    | 'signature'
    | 'tail',
    Uint8Array
  >
>

/** The parts of a certificate: each can be replaced, or left out with an empty one. */
const parts: Parts = {
  version: derElement(0xa0, derUnsignedInteger(Uint8Array.of(2))),
  serial: derUnsignedInteger(Uint8Array.of(1)),
  inner: ecdsa,
  issuer: nameOf('issuer'),
  dates: derSequence(derTime(nowMs - yearMs), derTime(nowMs + yearMs)),
  subject: nameOf('subject'),
  key: key.spki,
  extensions: derElement(0xa3, derSequence(keyUsage(0x80))),
  outer: ecdsa,
  signature: derBitString(derSequence()),
  tail: new Uint8Array(),
}

function assemble(edits: Partial<Parts> = {}): Uint8Array {
  const { outer, signature, tail, ...tbs } = { ...parts, ...edits }
  return Uint8Array.from(derSequence(derSequence(...Object.values(tbs)), outer, signature, tail))
}

const parse = (edits: Partial<Parts>): Certificate => parseCertificate(assemble(edits))

const refusal = (edits: Partial<Parts>): string | undefined => evidenceRefusalOf(() => parse(edits))

const extensionsOf = (...list: Uint8Array[]): Uint8Array => derElement(0xa3, derSequence(...list))

test('what a certificate says is read', () => {
  const certificate = parse({})
  expect(certificate).toMatchObject({
    serial: '01',
    notBeforeMs: nowMs - yearMs,
    notAfterMs: nowMs + yearMs,
    publicKey: { kind: 'P-256', bytes: key.point },
    authority: undefined,
    keyUsage: 0x80,
  })
  expect(certificate.digest).toMatch(/^[0-9a-f]{64}$/)
  expect(commonNameOf(certificate.subject)).toBe('subject')
})

test('a serial has at most 20 bytes', () => {
  const serial = new Uint8Array(20).fill(1)
  expect(parse({ serial: derUnsignedInteger(serial) }).serial).toBe('01'.repeat(20))
})

test('a certificate without extensions restricts nothing', () => {
  const certificate = parse({ extensions: new Uint8Array() })
  expect(certificate.extensions.size).toBe(0)
  expect(certificate.keyUsage).toBe(0xff)
})

test.each([
  ['version 1', { version: new Uint8Array() }],
  ['version 2', { version: derElement(0xa0, derUnsignedInteger(Uint8Array.of(1))) }],
  [
    'a version with more behind it',
    { version: derElement(0xa0, Buffer.from('0201020201', 'hex')) },
  ],
  ['a serial of 21 bytes', { serial: derUnsignedInteger(new Uint8Array(21).fill(1)) }],
  ['a negative serial', { serial: derElement(2, Uint8Array.of(0xff)) }],
  ['another algorithm inside', { inner: derSequence(derObjectIdentifier('1.2.840.10045.4.3.3')) }],
  ['three dates', { dates: derSequence(derTime(0), derTime(1), derTime(2)) }],
  [
    'a date of 13 digits',
    { dates: derSequence(derElement(0x17, ascii('2606010000000')), derTime(1)) },
  ],
  [
    'a date without Z',
    { dates: derSequence(derElement(0x17, ascii('260601000000+')), derTime(1)) },
  ],
  [
    'a date that is no text',
    { dates: derSequence(derElement(0x17, Uint8Array.of(0xff)), derTime(1)) },
  ],
  [
    'the 30th of February',
    { dates: derSequence(derElement(0x17, ascii('260230000000Z')), derTime(1)) },
  ],
  ['hour 25', { dates: derSequence(derElement(0x17, ascii('260601250000Z')), derTime(1)) }],
  ['a leap second', { dates: derSequence(derElement(0x17, ascii('260601235960Z')), derTime(1)) }],
  [
    'a short GeneralizedTime',
    { dates: derSequence(derTime(1), derElement(0x18, ascii('9999123123Z'))) },
  ],
  ['a unique identifier', { key: Buffer.concat([key.spki, derElement(0x81, Uint8Array.of(0))]) }],
  ['a byte behind', { tail: derOctetString(new Uint8Array()) }],
  ['a signature with unused bits', { signature: derBitString(Uint8Array.of(2), 1) }],
  ['an empty list of extensions', { extensions: extensionsOf() }],
  [
    'two lists of extensions',
    {
      extensions: derElement(
        0xa3,
        Buffer.concat([derSequence(keyUsage(0x80)), derSequence(keyUsage(0x80))]),
      ),
    },
  ],
  ['an extension twice', { extensions: extensionsOf(keyUsage(0x80), keyUsage(0x80)) }],
  [
    '33 extensions',
    {
      extensions: extensionsOf(
        ...Array.from({ length: 33 }, (_, at) =>
          createExtension(`1.2.3.${at}`, false, new Uint8Array()),
        ),
      ),
    },
  ],
  ['a criticality written as false', { extensions: extensionsOf(criticality(derBoolean(false))) }],
  [
    'a criticality of another value',
    { extensions: extensionsOf(criticality(derElement(1, Uint8Array.of(1)))) },
  ],
  [
    'a criticality of two bytes',
    { extensions: extensionsOf(criticality(derElement(1, Uint8Array.of(0xff, 0xff)))) },
  ],
  [
    'an authority written as false',
    {
      extensions: extensionsOf(createExtension('2.5.29.19', true, derSequence(derBoolean(false)))),
    },
  ],
  [
    'a path length without an authority',
    {
      extensions: extensionsOf(
        createExtension('2.5.29.19', true, derSequence(derUnsignedInteger(Uint8Array.of(1)))),
      ),
    },
  ],
  [
    'more in basicConstraints',
    {
      extensions: extensionsOf(
        createExtension(
          '2.5.29.19',
          true,
          derSequence(
            derBoolean(true),
            derUnsignedInteger(Uint8Array.of(1)),
            derUnsignedInteger(Uint8Array.of(1)),
          ),
        ),
      ),
    },
  ],
  ['a key usage that is no BIT STRING', { extensions: extensionsOf(usage('04020080')) }],
  ['a key usage of another length', { extensions: extensionsOf(usage('03030780')) }],
  ['a key usage of four bytes', { extensions: extensionsOf(usage('030400800000')) }],
  ['a key usage with nine unused bits', { extensions: extensionsOf(usage('03020880')) }],
  ['an empty key usage', { extensions: extensionsOf(usage('')) }],
])('refuses %s', (_, edits) => {
  expect(refusal(edits)).toBe(malformed)
})

test.each([
  ['an algorithm that nobody knows', ecdsaWith('1.2.840.10045.4.1')],
  [
    'ECDSA with parameters',
    derSequence(derObjectIdentifier('1.2.840.10045.4.3.2'), derElement(5, new Uint8Array())),
  ],
])('refuses %s', (_, algorithm) => {
  expect(refusal({ inner: algorithm, outer: algorithm })).toBe('certificate-algorithm')
})

test.each([
  ['a curve that nobody knows', ecKey('1.3.132.0.10', key.point)],
  [
    'a compressed point',
    ecKey('1.2.840.10045.3.1.7', Uint8Array.of(2, ...key.point.subarray(1, 33))),
  ],
  ['a hybrid point', ecKey('1.2.840.10045.3.1.7', key.point.with(0, 6))],
  ['a point of another curve', ecKey('1.3.132.0.34', key.point)],
  ['an RSA key of 1,024 bits', rsaKey(128)],
  ['an RSA key of 2,040 bits', rsaKey(255)],
  ['an RSA key of 8,200 bits', rsaKey(1025)],
  ['an RSA key of 16,384 bits', rsaKey(2048)],
  ['an RSA key with the exponent 3', rsaKey(256, Uint8Array.of(3))],
  [
    'an RSA key with more behind it',
    rsaKey(256, Uint8Array.of(1, 0, 1), derUnsignedInteger(Uint8Array.of(1))),
  ],
])('refuses %s', (_, spki) => {
  expect(refusal({ key: spki })).toBe('certificate-key')
})

test('reads keys on P-384 and P-521, RSA keys, and a date of the year 9999', () => {
  expect(parse({ key: seededKey('p', 'P-384').spki }).publicKey).toMatchObject({ kind: 'P-384' })
  const point = new Uint8Array(133).fill(4)
  expect(parse({ key: ecKey('1.3.132.0.35', point) }).publicKey).toMatchObject({ kind: 'P-521' })
  for (const modulusBytes of [256, 512, 1024]) {
    expect(parse({ key: rsaKey(modulusBytes) }).publicKey).toMatchObject({ kind: 'RSA' })
  }
  const dates = derSequence(derTime(nowMs), derTime(Date.parse('9999-12-31T23:59:59Z')))
  expect(parse({ dates }).notAfterMs).toBe(Date.parse('9999-12-31T23:59:59Z'))
  const old = derSequence(derElement(0x17, ascii('500101000000Z')), derTime(nowMs))
  expect(parse({ dates: old }).notBeforeMs).toBe(Date.parse('1950-01-01T00:00:00Z'))
})

test('reads a key usage of two bytes, and an authority with its path length', () => {
  const { keyUsage: nine } = parse({
    extensions: extensionsOf(usage('03030706 80'.replace(' ', ''))),
  })
  expect(nine).toBe(0x06)
  expect(parse({ extensions: extensionsOf(basicConstraints(true, 3)) }).authority).toEqual({
    maxPathLength: 3,
  })
})

/** A certificate with an extension of so many bytes. */
function sized(extensionBytes: number): Uint8Array {
  const padding = createExtension('1.2.3', false, new Uint8Array(extensionBytes))
  return assemble({ extensions: extensionsOf(padding) })
}

test('refuses a certificate that is too large, however good it is', () => {
  const spare = maxCertificateBytes - sized(8000).length
  expect(sized(8000 + spare)).toHaveLength(maxCertificateBytes)
  expect(parseCertificate(sized(8000 + spare)).extensions.size).toBe(1)
  expect(evidenceRefusalOf(() => parseCertificate(sized(8001 + spare)))).toBe(malformed)
})

test('a name has one common name, or none is given', () => {
  const attribute = derSequence(derObjectIdentifier('2.5.4.3'), derUtf8String('x'))
  const other = derSequence(derObjectIdentifier('2.5.4.10'), derUtf8String('y'))
  expect(commonNameOf(derSequence(derSetOfOne(other), derSetOfOne(attribute)))).toBe('x')
  expect(commonNameOf(derSequence(derSetOfOne(attribute), derSetOfOne(attribute)))).toBeUndefined()
  expect(commonNameOf(derSequence(derSetOfOne(other)))).toBeUndefined()
  const empty = derSequence(derSetOfOne(derSequence(derObjectIdentifier('2.5.4.3'))))
  expect(evidenceRefusalOf(() => commonNameOf(empty))).toBe(malformed)
  const noText = derSequence(derObjectIdentifier('2.5.4.3'), derElement(0x0c, Uint8Array.of(0xff)))
  expect(commonNameOf(derSequence(derSetOfOne(noText)))).toBeUndefined()
})

test('a chain of none is refused wherever it is judged', async () => {
  expect(evidenceRefusalOf(() => endsOf([]))).toBe('chain-length')
  expect(evidenceRefusalOf(() => checkRoot([], new Set()))).toBe('chain-length')
  expect(await refusalOfAsync(() => checkIssuance([]))).toBe('chain-length')
})

test('a chain holds from root to leaf, and only as of its dates', async () => {
  const dates = [nowMs - yearMs, nowMs + yearMs] as const
  const chain = planChain('chain', [dates, dates, dates]).map((plan) =>
    parseCertificate(createCertificate(plan)),
  )
  await checkIssuance(chain)
  const { root, leaf } = endsOf(chain)
  checkRoot(chain, new Set([root.digest]))
  checkSigner(leaf)
  checkDates(chain, nowMs)
  expect(evidenceRefusalOf(() => checkSigner(root))).toBe('chain-key-usage')
  expect(evidenceRefusalOf(() => checkDates(chain, Number.NaN))).toBe('certificate-not-yet-valid')
  expect(evidenceRefusalOf(() => checkDates(chain, nowMs + yearMs + 1))).toBe('certificate-expired')
})

test('an extension that the caller judges itself may be critical', async () => {
  const unknown = createExtension('1.2.3.4', true, new Uint8Array())
  const chain = [parse({ extensions: extensionsOf(unknown) })]
  expect(await refusalOfAsync(() => checkIssuance(chain))).toBe('certificate-extension-critical')
  await checkIssuance(chain, new Set(['2a0304']))
})

test('any bytes are a certificate or refused', () => {
  const property = fc.property(bytes, (given) => {
    expect(evidenceRefusalOf(() => parseCertificate(given))).toBe(malformed)
  })
  fc.assert(property, runs(2000))
})

test('a certificate with any byte changed is another certificate or refused', () => {
  const good = assemble()
  const { digest } = parseCertificate(good)
  for (const [at, byte] of good.entries()) {
    const changed = good.with(at, byte ^ 0xff)
    const refused = evidenceRefusalOf(() => {
      expect(parseCertificate(changed).digest).not.toBe(digest)
    })
    expect([undefined, malformed, 'certificate-key', 'certificate-algorithm']).toContain(refused)
  }
})

function nameOf(commonName: string): Uint8Array {
  const attribute = derSequence(derObjectIdentifier('2.5.4.3'), derUtf8String(commonName))
  return derSequence(derSetOfOne(attribute))
}

function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'ascii')
}

function criticality(value: Uint8Array): Uint8Array {
  return derSequence(derObjectIdentifier('1.2.3'), value, derOctetString(new Uint8Array()))
}

function usage(digits: string): Uint8Array {
  return createExtension('2.5.29.15', true, Buffer.from(digits, 'hex'))
}

function ecdsaWith(oid: string): Uint8Array {
  return derSequence(derObjectIdentifier(oid))
}

function ecKey(curve: string, point: Uint8Array): Uint8Array {
  const algorithm = derSequence(
    derObjectIdentifier('1.2.840.10045.2.1'),
    derObjectIdentifier(curve),
  )
  return derSequence(algorithm, derBitString(point))
}

function rsaKey(
  modulusBytes: number,
  exponent: Uint8Array = Uint8Array.of(1, 0, 1),
  tail: Uint8Array = new Uint8Array(),
): Uint8Array {
  const modulus = derUnsignedInteger(new Uint8Array(modulusBytes).fill(0xc1))
  const algorithm = derSequence(
    derObjectIdentifier('1.2.840.113549.1.1.1'),
    derElement(5, new Uint8Array()),
  )
  return derSequence(
    algorithm,
    derBitString(derSequence(modulus, derUnsignedInteger(exponent), tail)),
  )
}
