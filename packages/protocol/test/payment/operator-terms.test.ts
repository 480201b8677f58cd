import * as fc from 'fast-check'
import {
  encodeOperatorTerms,
  maxOperatorTermsBytes,
  parseOperatorTerms,
} from '@countersign/protocol/payment/operator-terms'
import { fromBase64url } from '@countersign/protocol/bytes/text-encoding'
import { expect, test } from 'vitest'
import { operatorTermsCases } from '../../../../test/vectors/cases/operator-terms.ts'
import { bytes, manyRuns, refusalOf } from '../arbitrary.ts'

const cases = operatorTermsCases().map((each) => ({
  ...each,
  bytes: fromBase64url(each.terms) ?? new Uint8Array(0),
}))

test.each(cases)('terms: $name', ({ bytes: given, expect: outcome }) => {
  expect(refusalOf(() => parseOperatorTerms(given))).toBe(
    'code' in outcome ? outcome.code : undefined,
  )
})

test('terms survive encoding, in one form only', () => {
  const good = cases.filter(({ expect: outcome }) => 'digest' in outcome)
  expect(good.length).toBeGreaterThan(5)
  for (const { bytes: given } of good) {
    const terms = parseOperatorTerms(given)
    expect(encodeOperatorTerms(terms)).toEqual(given)
    expect(given.length).toBeLessThanOrEqual(maxOperatorTermsBytes)
  }
})

test('any bytes are terms or refused by name, and any changed byte is', () => {
  const [first] = cases
  if (first === undefined) throw new Error('no cases')
  const near = fc
    .tuple(fc.nat(first.bytes.length - 1), fc.integer({ min: 1, max: 255 }))
    .map(([at, change]) => first.bytes.map((byte, index) => (index === at ? byte ^ change : byte)))
  fc.assert(
    fc.property(fc.oneof(bytes, near), (given) => {
      const code = refusalOf(() => {
        // A changed digit is another address: still the one encoding of what it says.
        expect(encodeOperatorTerms(parseOperatorTerms(given))).toEqual(given)
      })
      expect([undefined, 'terms-malformed']).toContain(code)
    }),
    manyRuns,
  )
})
