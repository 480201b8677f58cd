import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  describePaymentCode,
  isPaymentCode,
  paymentCodes,
} from '@countersign/protocol/payment/payment-code'

test('codes are sorted, and each has a status and a reason', () => {
  const codes = paymentCodes.map(([code]) => code)
  expect(codes).toEqual(codes.toSorted())
  expect(codes.length).toBeGreaterThan(30)
  expect(describePaymentCode('payment-malformed')).toEqual({
    status: 400,
    reason: 'invalid_payload',
  })
  for (const [, status, reason] of paymentCodes) {
    expect([400, 402, 503]).toContain(status)
    expect(reason).toMatch(/^[a-z][a-z0-9_]+$/)
  }
})

test('a code is told from other texts', () => {
  expect(isPaymentCode('channel-busy')).toBe(true)
  expect(isPaymentCode('call-unknown')).toBe(false)
  expect(isPaymentCode('toString')).toBe(false)
})

test('the table of the spec is the table of the code', () => {
  const spec = readFileSync(new URL('../../../../spec/payment.md', import.meta.url), 'utf8')
  const section = spec.slice(spec.indexOf('## PA23'), spec.indexOf('## PA24'))
  const rows = [...section.matchAll(/^\| `([a-z0-9-]+)` \| (\d+) \| `([a-z0-9_]+)` \|$/gm)]
  expect(rows.map(([, code, status, reason]) => [code, Number(status), reason])).toEqual(
    paymentCodes,
  )
})
