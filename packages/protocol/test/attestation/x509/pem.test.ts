import { parsePemCertificates } from '@countersign/protocol/attestation/x509/pem'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { toPem } from '../../../../../test/vectors/attestation/certificate.ts'
import { runs } from '../../arbitrary.ts'
import { evidenceRefusalOf } from '../refusal.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const pem = new TextDecoder().decode(toPem([new Uint8Array(100).fill(0xfb), Uint8Array.of(1)]))

test('blocks come out as they went in, the last line end being there or not', () => {
  const blobs = fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), {
    minLength: 1,
    maxLength: 10,
  })
  const property = fc.property(blobs, (given) => {
    const text = toPem(given)
    expect(parsePemCertificates(text)).toEqual(given)
    expect(parsePemCertificates(text.subarray(0, -1))).toEqual(given)
  })
  fc.assert(property, runs(200))
})

test.each([
  ['nothing', ''],
  ['no block', 'certificate\n'],
  ['another label', pem.replaceAll('CERTIFICATE', 'PUBLIC KEY')],
  ['CR and LF', pem.replaceAll('\n', '\r\n')],
  ['text before', `x${pem}`],
  ['text between', pem.replace('-----\n-----', '-----\n\n-----')],
  ['text behind', `${pem}\n`],
  ['a space in a line', pem.replace('+', ' ')],
  ['lines of 60 columns', pem.replace(/^(.{60})(.{4})$/m, '$1\n$2')],
  ['the other alphabet', pem.replaceAll('+', '-')],
  ['no padding', pem.replaceAll('=', '')],
  ['spare bits', pem.replace('AQ==', 'AR==')],
  ['an impossible length', pem.replace('AQ==', 'A')],
  ['an end without a beginning', pem.replace('-----BEGIN CERTIFICATE-----\n', '')],
  ['a beginning without an end', pem.slice(0, -30)],
])('refuses %s', (_, text) => {
  expect(text).not.toBe(pem)
  expect(evidenceRefusalOf(() => parsePemCertificates(utf8(text)))).toBe('pem-malformed')
})

test('refuses bytes that are no text, and more blocks than asked for', () => {
  expect(evidenceRefusalOf(() => parsePemCertificates(Uint8Array.of(0xff)))).toBe('pem-malformed')
  expect(parsePemCertificates(utf8(pem), 2)).toHaveLength(2)
  expect(evidenceRefusalOf(() => parsePemCertificates(utf8(pem), 1))).toBe('pem-malformed')
})
