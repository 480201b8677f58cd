import { openDer, openSequence } from '@countersign/protocol/attestation/x509/der'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytes, hex, manyRuns } from '../../arbitrary.ts'
import { evidenceRefusalOf } from '../refusal.ts'

const code = 'certificate-malformed'
const read = (digits: string, tag = 0x04): Uint8Array =>
  openDer(hex(digits), code).take(tag).content

test.each([
  ['0400', ''],
  ['040155', '55'],
  [`047f${'11'.repeat(127)}`, '11'.repeat(127)],
  [`048180${'11'.repeat(128)}`, '11'.repeat(128)],
  [`04820100${'11'.repeat(256)}`, '11'.repeat(256)],
  [`0483010000${'11'.repeat(65_536)}`, '11'.repeat(65_536)],
])('reads a value with the shortest length', (digits, content) => {
  expect(Buffer.from(read(digits)).toString('hex')).toBe(content)
})

test.each([
  ['nothing', ''],
  ['a tag alone', '04'],
  ['fewer bytes than the length', '040211'],
  ['a length in the long form that fits the short', '04817f'],
  ['a length with a leading zero', `04820080${'11'.repeat(128)}`],
  ['a length of four bytes', '048400000001'],
  ['the indefinite form', '04800000'],
  ['the indefinite form before 128 bytes', `0480${'11'.repeat(128)}`],
  ['the reserved form', '04ff00'],
  ['a length cut short', '048201'],
])('refuses %s', (_, digits) => {
  expect(evidenceRefusalOf(() => read(digits))).toBe(code)
})

test('refuses a tag of more than one byte, and a tag other than the one asked for', () => {
  expect(evidenceRefusalOf(() => read('1f0100', 0x1f))).toBe(code)
  expect(evidenceRefusalOf(() => read('3f0100', 0x3f))).toBe(code)
  expect(evidenceRefusalOf(() => read('050100'))).toBe(code)
})

test.each([
  ['0201 00', 0],
  ['0201 7f', 127],
  ['0202 0080', 128],
  ['0204 7fffffff', 2_147_483_647],
  ['0205 00ffffffff', 4_294_967_295],
])('reads the INTEGER %s', (digits, value) => {
  expect(openDer(hex(digits.replace(' ', '')), code).small()).toBe(value)
})

test.each(['0200', '0201ff', '02020000', '0202007f', '0206010000000000', '020500000000ff'])(
  'refuses the INTEGER %s',
  (digits) => {
    expect(evidenceRefusalOf(() => openDer(hex(digits), code).small())).toBe(code)
  },
)

test('an INTEGER is given without the byte of its sign', () => {
  expect(openDer(hex('020200db'), code).unsigned()).toEqual(Uint8Array.of(0xdb))
  expect(openDer(hex('020100'), code).unsigned()).toEqual(Uint8Array.of(0))
})

test('a BIT STRING has no unused bits', () => {
  expect(openDer(hex('03020055'), code).bits()).toEqual(Uint8Array.of(0x55))
  expect(evidenceRefusalOf(() => openDer(hex('03020154'), code).bits())).toBe(code)
  expect(evidenceRefusalOf(() => openDer(hex('0300'), code).bits())).toBe(code)
})

test('a SEQUENCE is the whole of its bytes', () => {
  const fields = openSequence(hex('3003020105'), code)
  expect(fields.peek()).toBe(2)
  expect(evidenceRefusalOf(() => fields.finish())).toBe(code)
  expect(fields.small()).toBe(5)
  expect(fields.peek()).toBeUndefined()
  fields.finish()
  expect(evidenceRefusalOf(() => openSequence(hex('300302010500'), code))).toBe(code)
})

test('any bytes are read or refused, and nothing is read past the end', () => {
  const property = fc.property(bytes, (given) => {
    const refused = evidenceRefusalOf(() => {
      const fields = openDer(given, code)
      for (let tag = fields.peek(); tag !== undefined; tag = fields.peek()) {
        const { content, encoded } = fields.take(tag)
        expect(encoded.length).toBeGreaterThan(content.length)
      }
      fields.finish()
    })
    expect([undefined, code]).toContain(refused)
  })
  fc.assert(property, manyRuns)
})
