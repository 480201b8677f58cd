import {
  describeEvidenceCode,
  EvidenceError,
  listEvidenceCodes,
  type EvidenceCode,
} from '@countersign/protocol/attestation/evidence-errors'
import { expect, test } from 'vitest'

const codes = [...listEvidenceCodes()].filter(isCode)

test('an error names its code and what is meant', () => {
  const cause = new Error('inner')
  const error = new EvidenceError('crl-malformed', 'root', { cause })
  expect(error).toMatchObject({
    message: 'crl-malformed: root',
    name: 'EvidenceError',
    code: 'crl-malformed',
    about: 'root',
    cause,
  })
  expect(new EvidenceError('crl-malformed').message).toBe('crl-malformed')
})

test('the codes are in order, and each has a sentence', () => {
  expect(codes.length).toBeGreaterThan(80)
  expect(codes.toSorted()).toEqual(codes)
  for (const code of codes)
    expect(describeEvidenceCode(code).message.length, code).toBeGreaterThan(10)
})

test('the name of a code says whose refusal it is', () => {
  for (const code of codes) {
    const family = code.endsWith('-not-allowed') ? 'policy' : 'evidence'
    expect(describeEvidenceCode(code).family, code).toBe(family)
  }
})

function isCode(code: string): code is EvidenceCode {
  return listEvidenceCodes().has(code)
}
