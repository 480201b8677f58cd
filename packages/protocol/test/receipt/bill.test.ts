import { expect, test } from 'vitest'
import type { CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { ProtocolError } from '@countersign/protocol/errors'
import { judgeBill, parseRates, priceUse } from '@countersign/protocol/receipt/bill'
import { encodeAmount, type Charge } from '@countersign/protocol/receipt/charge'

const rates =
  '["m","5",[[0,[["input","1000000"],["output","2000001"]]],[100,[["input","3000000"],["output","4000000"]]]]]'

function pairs(members: Readonly<Record<string, CborValue>>): CborValue {
  return new Map(Object.entries(members))
}

function metering(changes: Readonly<Record<string, CborValue>> = {}): CborValue {
  return pairs({
    authorised: encodeAmount(1000n),
    capped: false,
    counts: pairs({ input: 10, output: 3 }),
    notes: [],
    source: 'provider',
    tier: null,
    ...changes,
  })
}

function claimsOf(changes: Readonly<Record<string, CborValue | undefined>> = {}) {
  const all: Readonly<Record<string, CborValue | undefined>> = {
    metering: metering(),
    model: pairs({ asserted: null, requested: 'm' }),
    outcome: pairs({ state: 'complete', finish: null, error: null }),
    price: pairs({ amount: encodeAmount(1000n), sheet: new Uint8Array(32) }),
    rates,
    ...changes,
  }
  const claims = new Map<string, CborValue>()
  for (const [name, value] of Object.entries(all)) if (value !== undefined) claims.set(name, value)
  return claims
}

function charge(amountAtomic: bigint, scheme: 'upto' | 'batch-settlement' = 'upto'): Charge {
  const paymentId = new Uint8Array(32).fill(1)
  const common = { amountAtomic, network: 'eip155:1', asset: '0x1', paymentId }
  return scheme === 'upto'
    ? { scheme, ...common }
    : { scheme, ...common, cumulativeAtomic: amountAtomic }
}

// 10 × 1 + 3 × 2.000001 = 16.000003, rounded up once, and 5 for the call.
const due = 22n

test('quote × usage, rounded up once, is the charge', () => {
  expect(judgeBill(charge(due), claimsOf(), true)).toEqual({
    kind: 'metered',
    model: 'm',
    dueAtomic: due,
  })
})

test('the tier that holds is the last that total input exceeds', () => {
  const stated = parseRates(rates)
  const price = (input: number): bigint => priceUse(stated, new Map([['input', input]]))
  expect([price(0), price(100), price(101)]).toEqual([5n, 105n, 308n])
  expect(
    priceUse(
      stated,
      new Map([
        ['cache-read', 50],
        ['input', 51],
      ]),
    ),
  ).toBe(158n)
  expect(priceUse(stated, new Map([['web-search', 7]]))).toBe(5n)
})

test.each<readonly [string, bigint, Readonly<Record<string, CborValue | undefined>>]>([
  ['bill-too-high', due + 1n, {}],
  ['bill-too-low', due - 1n, {}],
  ['bill-too-high', due + 1n, { recovered: pairs({ request: new Uint8Array(32) }) }],
  ['bill-model-mismatch', due, { model: pairs({ asserted: null, requested: 'cheap' }) }],
  ['bill-malformed', due, { model: 'm' }],
  ['bill-too-high', 1n, { metering: metering({ source: 'none', counts: pairs({}) }) }],
  ['bill-capped-mismatch', due, { metering: metering({ capped: true }) }],
  ['bill-capped-mismatch', 1000n, { metering: metering({ counts: pairs({ input: 2000 }) }) }],
  ['bill-authorised-mismatch', due, { metering: metering({ authorised: encodeAmount(999n) }) }],
  ['bill-too-high', 1n, { metering: undefined }],
  ['bill-too-high', 1001n, { metering: undefined, rates: undefined }],
  ['bill-too-low', 999n, { metering: undefined, rates: undefined }],
  [
    'bill-too-high',
    1000n,
    { metering: undefined, rates: undefined, outcome: pairs({ state: 'upstream-error' }) },
  ],
  ['bill-too-high', 1000n, { metering: undefined, rates: undefined, outcome: undefined }],
  ['bill-malformed', due, { metering: metering({ source: 'somebody' }) }],
  ['bill-malformed', due, { metering: metering({ counts: pairs({ tokens: 1 }) }) }],
  ['bill-malformed', due, { metering: metering({ counts: pairs({ input: 0 }) }) }],
  ['bill-malformed', due, { metering: metering({ counts: pairs({ input: '1' }) }) }],
  ['bill-malformed', due, { metering: metering({ counts: new Map([[1, 1]]) }) }],
  ['bill-malformed', due, { metering: metering({ counts: [] }) }],
  ['bill-malformed', due, { metering: 1 }],
  ['bill-malformed', due, { price: 1 }],
  ['bill-malformed', due, { rates: 1 }],
  ['bill-malformed', due, { rates: 'x' }],
])('%s: a charge of %d', (code, amount, changes) => {
  expect(judgeBill(charge(amount), claimsOf(changes), true)).toMatchObject({ kind: 'wrong', code })
})

test('what exceeds the authorisation is not charged', () => {
  const capped = metering({ capped: true, counts: pairs({ input: 2000 }) })
  expect(judgeBill(charge(1000n), claimsOf({ metering: capped }), true)).toMatchObject({
    kind: 'metered',
    dueAtomic: 1000n,
  })
})

test('a provider that failed is paid nothing, but for the unit of a strict voucher', () => {
  const free = claimsOf({ metering: metering({ source: 'none', counts: pairs({}) }) })
  expect(judgeBill(charge(0n), free, true)).toMatchObject({ kind: 'metered', dueAtomic: 0n })
  expect(judgeBill(charge(1n, 'batch-settlement'), free, true)).toMatchObject({ kind: 'metered' })
  expect(judgeBill(charge(2n, 'batch-settlement'), free, true)).toMatchObject({ kind: 'wrong' })
})

test('a strict voucher whose stream was cut costs one unit', () => {
  for (const priced of [{}, { rates: undefined }]) {
    const cut = claimsOf({
      metering: undefined,
      outcome: pairs({ state: 'upstream-error' }),
      ...priced,
    })
    expect(judgeBill(charge(1n, 'batch-settlement'), cut, true)).toMatchObject({ kind: 'fixed' })
    expect(judgeBill(charge(2n, 'batch-settlement'), cut, true)).toMatchObject({
      code: 'bill-too-high',
      dueAtomic: 0n,
    })
    expect(judgeBill(charge(1n), cut, true)).toMatchObject({ code: 'bill-too-high' })
  }
})

test('a call at a fixed price costs that, or nothing', () => {
  const fixed = claimsOf({ metering: undefined, rates: undefined })
  const left = claimsOf({
    metering: undefined,
    rates: undefined,
    outcome: pairs({ state: 'aborted-by-client' }),
  })
  const expected = { kind: 'fixed', priceAtomic: 1000n }
  expect(judgeBill(charge(1000n), fixed, true)).toEqual(expected)
  expect(judgeBill(charge(1000n), left, true)).toEqual(expected)
  expect(judgeBill(charge(0n), fixed, true)).toEqual(expected)
  expect(judgeBill({ scheme: 'none', amountAtomic: 0n }, fixed, true)).toEqual(expected)
})

test.each<readonly [string, boolean, Readonly<Record<string, CborValue | undefined>>]>([
  ['recovered', true, { price: undefined, recovered: pairs({ request: new Uint8Array(32) }) }],
  ['withheld', false, { price: undefined }],
  ['withheld', false, { model: undefined }],
  ['withheld', false, { rates: undefined }],
  ['withheld', false, { metering: undefined }],
  ['no-rates', true, { rates: undefined }],
])('a bill stays open: %s', (reason, isWhole, changes) => {
  expect(judgeBill(charge(due), claimsOf(changes), isWhole)).toEqual({ kind: 'open', reason })
})

test('a fault that is not of the receipt is not hidden', () => {
  const claims = {
    get: () => {
      throw new RangeError('ours')
    },
  }
  // @ts-expect-error: no such map exists
  expect(() => judgeBill(charge(due), claims, true)).toThrow(RangeError)
})

test.each([
  '{}',
  '["m","5"]',
  '[1,"5",[[0,[]]]]',
  '["m","5",{}]',
  '["m","5",[]]',
  '["m",5,[[0,[]]]]',
  '["m","05",[[0,[]]]]',
  `["m","${2n ** 256n}",[[0,[]]]]`,
  '["m","5",[0]]',
  '["m","5",[[0]]]',
  '["m","5",[["0",[]]]]',
  '["m","5",[[-1,[]]]]',
  '["m","5",[[0,{}]]]',
  '["m","5",[[0,[1]]]]',
  '["m","5",[[0,[["input"]]]]]',
  '["m","5",[[0,[["tokens","1"]]]]]',
  '["m","5",[[0,[[1,"1"]]]]]',
  '["m","5",[[0,[["input",1]]]]]',
  // Not the one form: a rate of 0, another order, a kind twice, a space.
  '["m","5",[[0,[["input","0"]]]]]',
  '["m","5",[[0,[["output","1"],["input","1"]]]]]',
  '["m","5",[[0,[["input","1"],["input","1"]]]]]',
  '["m", "5",[[0,[]]]]',
  `["m","5",[${Array(65).fill('[0,[]]').join()}]]`,
])('refuses rates in another form: %s', (text) => {
  expect(() => parseRates(text)).toThrow(ProtocolError)
})
