/** ME10: bills that hold, that stay open, and that are wrong. */
import { encodeCbor, type CborValue } from '@countersign/protocol/bytes/cbor-encode'
import { toBase64url } from '@countersign/protocol/bytes/text-encoding'
import {
  judgeBill,
  type Bill,
  type BillCode,
  type OpenBillReason,
} from '@countersign/protocol/receipt/bill'
import { encodeAmount, encodeCharge, type Charge } from '@countersign/protocol/receipt/charge'

/** A case as it stands in `vectors/bills.json`. Amounts are decimal. */
export type StoredBillCase = {
  readonly name: string
  readonly clause: string
  /** RC2.1 and the map of claims, base64url of CBOR. */
  readonly charge: string
  readonly claims: string
  readonly isWhole: boolean
  readonly expect: Readonly<Record<string, string | null>>
}

type Changes = Readonly<Record<string, CborValue | undefined>>
type Row = readonly [name: string, amount: bigint, changes: Changes, part?: Part]
type Part = { readonly scheme?: 'upto' | 'batch-settlement' | 'none'; readonly isWhole?: boolean }

const rates =
  '["m","5",[[0,[["input","1000000"],["output","2000001"]]],[100,[["input","3000000"],["output","4000000"]]]]]'
// 10 × 1 + 3 × 2.000001 = 16.000003, rounded up once, and 5 for the call.
const due = 22n
const fixed: Changes = { metering: undefined, rates: undefined }

const good: readonly Row[] = [
  ['by use, rounded up once', due, {}],
  [
    'in the tier above',
    305n,
    { metering: metering({ counts: pairs({ input: 100, 'cache-read': 1 }) }) },
  ],
  [
    'what exceeds the authorisation',
    1000n,
    { metering: metering({ capped: true, counts: pairs({ input: 2000 }) }) },
  ],
  ['a provider that failed', 0n, { metering: metering({ source: 'none', counts: pairs({}) }) }],
  [
    'the unit of a strict voucher',
    1n,
    { metering: metering({ source: 'none', counts: pairs({}) }) },
    { scheme: 'batch-settlement' },
  ],
  ['a fixed price', 1000n, fixed],
  [
    'a fixed price, left early',
    1000n,
    { ...fixed, outcome: pairs({ state: 'aborted-by-client' }) },
  ],
  ['a fixed price that nobody was charged', 0n, fixed, { scheme: 'none' }],
]

const open: Readonly<Record<OpenBillReason, readonly Row[]>> = {
  recovered: [
    [
      'a call that a crash cut',
      due,
      { price: undefined, recovered: pairs({ request: new Uint8Array(32) }) },
    ],
  ],
  withheld: [
    ['the price withheld', due, { price: undefined }, { isWhole: false }],
    ['the model withheld', due, { model: undefined }, { isWhole: false }],
    ['the rates withheld', due, { rates: undefined }, { isWhole: false }],
    ['the use withheld', due, { metering: undefined }, { isWhole: false }],
  ],
  'no-rates': [['an older gateway', due, { rates: undefined }]],
}

const wrong: Readonly<Record<BillCode, readonly Row[]>> = {
  'bill-malformed': [
    ['a source that is none', due, { metering: metering({ source: 'somebody' }) }],
    ['a kind that is none', due, { metering: metering({ counts: pairs({ tokens: 1 }) }) }],
    ['a count of 0', due, { metering: metering({ counts: pairs({ input: 0 }) }) }],
    ['a count that is a text', due, { metering: metering({ counts: pairs({ input: '1' }) }) }],
    ['counts that are a list', due, { metering: metering({ counts: [] }) }],
    ['use that is a number', due, { metering: 1 }],
    ['a price that is a number', due, { price: 1 }],
    ['a model that is a text', due, { model: 'm' }],
    ['rates that are a number', due, { rates: 1 }],
    ['rates with a rate of 0', due, { rates: '["m","5",[[0,[["input","0"]]]]]' }],
    ['rates in another order', due, { rates: '["m","5",[[0,[["output","1"],["input","1"]]]]]' }],
    ['rates with a space', due, { rates: '["m", "5",[[0,[]]]]' }],
    ['rates without a tier', due, { rates: '["m","5",[]]' }],
    ['an amount with a zero before it', due, { rates: '["m","05",[[0,[]]]]' }],
  ],
  'bill-model-mismatch': [
    ['rates of another model', due, { model: pairs({ asserted: null, requested: 'cheap' }) }],
  ],
  'bill-authorised-mismatch': [
    [
      'another authorisation than the price',
      due,
      { metering: metering({ authorised: encodeAmount(999n) }) },
    ],
  ],
  'bill-capped-mismatch': [
    ['capped without reason', due, { metering: metering({ capped: true }) }],
    ['capped and not said', 1000n, { metering: metering({ counts: pairs({ input: 2000 }) }) }],
  ],
  'bill-too-high': [
    ['one unit too many', due + 1n, {}],
    [
      'one unit too many beside a crash',
      due + 1n,
      { recovered: pairs({ request: new Uint8Array(32) }) },
    ],
    [
      'two units for a strict voucher',
      2n,
      { metering: metering({ source: 'none', counts: pairs({}) }) },
      { scheme: 'batch-settlement' },
    ],
    [
      'a charge for a call that failed',
      1000n,
      { ...fixed, outcome: pairs({ state: 'upstream-error' }) },
    ],
    ['a charge without use of a model that is priced by use', 1n, { metering: undefined }],
    ['more than the fixed price', 1001n, fixed],
  ],
  'bill-too-low': [
    ['one unit too few', due - 1n, {}],
    ['less than the fixed price', 999n, fixed],
  ],
}

/**
 * All cases.
 *
 * @throws Error when something else comes out than the author of a case named.
 */
export function billCases(): readonly StoredBillCase[] {
  return [
    ...good.map((row) => toCase(row, undefined)),
    ...Object.entries(open).flatMap(([reason, rows]) => rows.map((row) => toCase(row, reason))),
    ...Object.entries(wrong).flatMap(([code, rows]) => rows.map((row) => toCase(row, code))),
  ]
}

/** The bill as it is stored. */
export function storeBill(bill: Bill): StoredBillCase['expect'] {
  switch (bill.kind) {
    case 'metered':
      return { kind: bill.kind, model: bill.model, due: `${bill.dueAtomic}` }
    case 'fixed':
      return { kind: bill.kind, price: `${bill.priceAtomic}` }
    case 'open':
      return { kind: bill.kind, reason: bill.reason }
    case 'wrong':
      return { kind: bill.kind, code: bill.code, due: bill.dueAtomic?.toString() ?? null }
  }
}

function toCase(
  [name, amount, changes, part = {}]: Row,
  named: string | undefined,
): StoredBillCase {
  const { scheme = 'upto', isWhole = true } = part
  const charge = chargeOf(amount, scheme)
  const claims = claimsOf(changes)
  const bill = judgeBill(charge, claims, isWhole)
  const found = bill.kind === 'wrong' ? bill.code : bill.kind === 'open' ? bill.reason : undefined
  if (found !== named) throw new Error(`bill "${name}" is ${found ?? bill.kind}`)
  return {
    name,
    clause: 'ME10',
    charge: toBase64url(encodeCbor(encodeCharge(charge))),
    claims: toBase64url(encodeCbor(claims)),
    isWhole,
    expect: storeBill(bill),
  }
}

function chargeOf(amountAtomic: bigint, scheme: 'upto' | 'batch-settlement' | 'none'): Charge {
  if (scheme === 'none') return { scheme, amountAtomic: 0n }
  const paymentId = new Uint8Array(32).fill(1)
  const common = { amountAtomic, network: 'eip155:1', asset: '0x1', paymentId }
  return scheme === 'upto'
    ? { scheme, ...common }
    : { scheme, ...common, cumulativeAtomic: amountAtomic }
}

function claimsOf(changes: Changes): Map<string, CborValue> {
  const all: Changes = {
    metering: metering(),
    model: pairs({ asserted: null, requested: 'm' }),
    outcome: pairs({ state: 'complete', finish: null, error: null }),
    price: pairs({ amount: encodeAmount(1000n), sheet: new Uint8Array(32) }),
    rates,
    ...changes,
  }
  return new Map(
    Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
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

function pairs(members: Readonly<Record<string, CborValue>>): CborValue {
  return new Map(Object.entries(members))
}
