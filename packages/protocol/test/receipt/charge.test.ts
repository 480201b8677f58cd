import * as fc from 'fast-check'
import { decodeCbor } from '@countersign/protocol/bytes/cbor-decode'
import { encodeCbor } from '@countersign/protocol/bytes/cbor-encode'
import { openMap } from '@countersign/protocol/bytes/map-reader'
import {
  encodeAmount,
  encodeCharge,
  parseCharge,
  readAmount,
  type Charge,
} from '@countersign/protocol/receipt/charge'
import { expect, test } from 'vitest'
import {
  channelCharge,
  exactCharge,
  unconfirmedCharge,
  uptoCharge,
} from '../../../../test/vectors/sample-call.ts'
import { cborValue, refusalOf } from '../arbitrary.ts'

const charges: readonly Charge[] = [
  { scheme: 'none', amountAtomic: 0n },
  { scheme: 'api-key', amountAtomic: 5n, asset: 'USD', paymentId: Uint8Array.of(1) },
  { scheme: 'api-key', amountAtomic: 0n, asset: 'a'.repeat(128), paymentId: new Uint8Array(64) },
  exactCharge(1n),
  exactCharge(2n ** 256n - 1n),
  unconfirmedCharge(0n),
  uptoCharge(0n),
  channelCharge(1n, 2n ** 127n),
]

test.each(charges)('a charge by $scheme of $amountAtomic survives encoding', (charge) => {
  const encoded = encodeCbor(encodeCharge(charge))
  expect(parseCharge(decodeCbor(encoded, 1000))).toStrictEqual(charge)
})

test('the keys of a charge are written in ascending order, so that nothing is sorted', () => {
  for (const charge of charges) {
    const keys = [...encodeCharge(charge).keys()].map(Number)
    expect(keys).toEqual(keys.toSorted((a, b) => a - b))
  }
})

test('what is no charge is refused as payload-malformed', () => {
  fc.assert(
    fc.property(cborValue, (value) => {
      expect(refusalOf(() => parseCharge(value))).toBe('payload-malformed')
    }),
  )
})

test('an amount is big-endian without leading zero bytes', () => {
  expect(encodeAmount(0n)).toEqual(new Uint8Array(0))
  expect(encodeAmount(255n)).toEqual(Uint8Array.of(255))
  expect(encodeAmount(256n)).toEqual(Uint8Array.of(1, 0))
  expect(encodeAmount(2n ** 256n - 1n)).toEqual(new Uint8Array(32).fill(255))
  expect(() => encodeAmount(2n ** 256n)).toThrow(new RangeError('not a 256-bit amount'))
  expect(() => encodeAmount(-1n)).toThrow('not a 256-bit amount')
})

test('every amount survives encoding', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }), (amount) => {
      expect(read(encodeAmount(amount))).toBe(amount)
    }),
  )
})

test('an amount with a leading zero byte or more than 32 bytes is refused with the code given', () => {
  for (const bytes of [Uint8Array.of(0), Uint8Array.of(0, 1), new Uint8Array(33).fill(1)]) {
    expect(refusalOf(() => read(bytes))).toBe('claim-schema')
  }
  expect(read(Uint8Array.of(1, 0))).toBe(256n)
})

function read(bytes: Uint8Array): bigint {
  const fields = openMap(new Map([['amount', bytes]]), ['amount'], [], 'claim-schema')
  return readAmount(fields, 'amount', 'claim-schema')
}

test('a channel is charged at least what its latest call is charged', () => {
  expect(() => parseCharge(encodeCharge(channelCharge(2n, 2n)))).not.toThrow()
  expect(refusalOf(() => parseCharge(encodeCharge(channelCharge(2n, 1n))))).toBe(
    'payload-malformed',
  )
})
