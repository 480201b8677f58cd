import { parseCertificate } from '@countersign/protocol/attestation/x509/certificate'
import {
  checkNotRevoked,
  checkRevocationList,
  maxRevocationListBytes,
  parseRevocationList,
} from '@countersign/protocol/attestation/x509/revocation-list'
import { expect, test } from 'vitest'
import {
  derElement,
  derBitString,
  derObjectIdentifier,
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
  createRevocationList,
  keyUsage,
} from '../../../../../test/vectors/attestation/certificate.ts'
import { seededKey } from '../../../../../test/vectors/attestation/test-key.ts'
import { evidenceRefusalOf, refusalOfAsync } from '../refusal.ts'

const nowMs = Date.parse('2026-06-01T00:00:00Z')
const dayMs = 86_400_000
const key = seededKey('revocation-list.test', 'P-256')
const ecdsa = derSequence(derObjectIdentifier('1.2.840.10045.4.3.2'))
const attribute = derSequence(derObjectIdentifier('2.5.4.3'), derUtf8String('issuer'))
const harmless = createExtension('2.5.29.21', false, derElement(0x0a, Uint8Array.of(1)))
const critical = createExtension('2.5.29.28', true, derSequence())

type Parts = Readonly<
  Record<
    'version' | 'algorithm' | 'issuer' | 'thisUpdate' | 'nextUpdate' | 'revoked' | 'extensions',
    Uint8Array
  >
>

const parts: Parts = {
  version: derUnsignedInteger(Uint8Array.of(1)),
  algorithm: ecdsa,
  issuer: derSequence(derSetOfOne(attribute)),
  thisUpdate: derTime(nowMs),
  nextUpdate: derTime(nowMs + dayMs),
  revoked: new Uint8Array(),
  extensions: new Uint8Array(),
}

/** A SEQUENCE whose length takes three bytes. */
function wide(content: Uint8Array): Uint8Array {
  const { length } = content
  if (length < 65_536) return derElement(0x30, content)
  const head = Uint8Array.of(0x30, 0x83, length >> 16, (length >> 8) & 255, length & 255)
  return Buffer.concat([head, content])
}

function assemble(edits: Partial<Parts>): Uint8Array {
  const tbs = derSequence(...Object.values({ ...parts, ...edits }))
  return Uint8Array.from(derSequence(tbs, ecdsa, derBitString(derSequence())))
}

const entry = (...more: Uint8Array[]): Uint8Array =>
  derSequence(derUnsignedInteger(Uint8Array.of(7)), derTime(nowMs), ...more)

test('a list without entries or extensions is read, and one with both', () => {
  expect(parseRevocationList(assemble({})).revoked.size).toBe(0)
  const extensions = derElement(0xa0, derSequence(harmless))
  const list = assemble({ revoked: derSequence(entry(derSequence(harmless))), extensions })
  expect(parseRevocationList(list)).toMatchObject({
    revoked: new Map([['07', nowMs]]),
    thisUpdateMs: nowMs,
    nextUpdateMs: nowMs + dayMs,
  })
})

test.each([
  ['version 1', { version: new Uint8Array() }],
  ['version 3', { version: derUnsignedInteger(Uint8Array.of(2)) }],
  ['no next update', { nextUpdate: new Uint8Array() }],
  ['a critical extension', { extensions: derElement(0xa0, derSequence(harmless, critical)) }],
  ['an entry with a critical extension', { revoked: derSequence(entry(derSequence(critical))) }],
  ['an entry with more', { revoked: derSequence(entry(derSequence(harmless), derSequence())) }],
  ['a serial twice', { revoked: derSequence(entry(), entry()) }],
  [
    'a serial without a date',
    { revoked: derSequence(derSequence(derUnsignedInteger(Uint8Array.of(7)))) },
  ],
  ['something behind', { extensions: derElement(0xa1, derSequence()) }],
  [
    'two lists of extensions',
    { extensions: derElement(0xa0, Buffer.concat([derSequence(harmless), derSequence(harmless)])) },
  ],
])('refuses a list with %s', (_, edits) => {
  expect(evidenceRefusalOf(() => parseRevocationList(assemble(edits)))).toBe('crl-malformed')
})

/** A list of so many entries, 22 bytes each. */
function sized(count: number): Uint8Array {
  const entries = Array.from({ length: count }, (_, at) =>
    derSequence(derUnsignedInteger(Uint8Array.of(1, at >> 8, at & 255)), derTime(nowMs)),
  )
  const { version, algorithm, issuer, thisUpdate, nextUpdate } = parts
  const head = [version, algorithm, issuer, thisUpdate, nextUpdate]
  const tbs = wide(Buffer.concat([...head, wide(Buffer.concat(entries))]))
  return Uint8Array.from(wide(Buffer.concat([tbs, ecdsa, derBitString(derSequence())])))
}

test('refuses a list that is too large, however good it is', () => {
  const most = Math.floor((maxRevocationListBytes - sized(0).length) / 22)
  expect(parseRevocationList(sized(most)).revoked.size).toBe(most)
  expect(evidenceRefusalOf(() => parseRevocationList(sized(most + 1)))).toBe('crl-malformed')
})

test('a list counts for its issuer alone, and for its time', async () => {
  const issuer = parseCertificate(
    createCertificate({
      subject: 'issuer',
      issuer: 'issuer',
      serial: 7,
      key,
      issuerKey: key,
      notBeforeMs: nowMs,
      notAfterMs: nowMs + dayMs,
      extensions: [basicConstraints(true), keyUsage(0x06)],
    }),
  )
  const plan = {
    issuer: 'issuer',
    key,
    thisUpdateMs: nowMs,
    nextUpdateMs: nowMs + dayMs,
    revoked: [{ serial: 7, atMs: nowMs + 1000 }],
  }
  const list = parseRevocationList(createRevocationList(plan))
  const other = parseRevocationList(createRevocationList({ ...plan, issuer: 'other' }))
  await checkRevocationList(list, issuer, nowMs)
  const at = (asOfMs: number): Promise<string | undefined> =>
    refusalOfAsync(() => checkRevocationList(list, issuer, asOfMs))
  expect(await at(Number.NaN)).toBe('crl-not-yet-valid')
  expect(await at(nowMs - 1)).toBe('crl-not-yet-valid')
  expect(await at(nowMs + dayMs + 1)).toBe('crl-expired')
  checkNotRevoked(list, issuer, nowMs)
  expect(evidenceRefusalOf(() => checkNotRevoked(list, issuer, nowMs + 1000))).toBe(
    'certificate-revoked',
  )
  expect(evidenceRefusalOf(() => checkNotRevoked(list, issuer, Number.NaN))).toBe(
    'certificate-revoked',
  )
  expect(evidenceRefusalOf(() => checkNotRevoked(other, issuer, nowMs))).toBe('crl-issuer-mismatch')
})
