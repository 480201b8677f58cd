import { expect, test } from 'vitest'
import {
  createLedger,
  paymentKey,
  type Ledger,
  type LedgerEvent,
} from '../src/payment/ledger/ledger.ts'
import { addressOf, callOf, permitOf, wordOf } from './ledger/sample-events.ts'

const payer = addressOf(1)

function reserve(
  nonce: bigint,
  amount: bigint,
  maxExposureAtomic = 1000n,
  fundsAtomic = 1000n,
): LedgerEvent {
  return {
    type: 'upto-reserved',
    payer,
    permit: permitOf(nonce, amount),
    callId: callOf(Number(nonce)),
    requestHash: wordOf(1),
    fundsAtomic,
    maxExposureAtomic,
  }
}

function codeOf(ledger: Ledger, event: LedgerEvent): string {
  const step = ledger.apply(event)
  return step.kind === 'refused' ? step.code : 'accepted'
}

test('a payment buys once, whatever is charged', () => {
  const ledger = createLedger()
  expect(codeOf(ledger, reserve(1n, 100n))).toBe('accepted')
  expect(codeOf(ledger, reserve(1n, 100n))).toBe('payment-in-progress')
  ledger.apply({ type: 'upto-charged', payer, nonce: 1n, amountAtomic: 0n })
  expect(codeOf(ledger, reserve(1n, 100n))).toBe('payment-already-used')
  expect(ledger.state.payments.get(paymentKey(payer, 1n))?.state.kind).toBe('settled')
})

test('a released payment is new again', () => {
  const ledger = createLedger()
  ledger.apply(reserve(1n, 100n))
  expect(codeOf(ledger, { type: 'upto-released', payer, nonce: 1n })).toBe('accepted')
  expect(codeOf(ledger, reserve(1n, 100n))).toBe('accepted')
})

test('calls together never promise more than the payer has, nor more than we risk', () => {
  const ledger = createLedger()
  expect(codeOf(ledger, reserve(1n, 1n, 1000n, 0n))).toBe('payer-funds-exceeded')
  expect(codeOf(ledger, reserve(1n, 100n, 1000n, 250n))).toBe('accepted')
  expect(codeOf(ledger, reserve(2n, 100n, 1000n, 250n))).toBe('accepted')
  expect(codeOf(ledger, reserve(3n, 51n, 1000n, 250n))).toBe('payer-funds-exceeded')
  ledger.apply({ type: 'upto-charged', payer, nonce: 1n, amountAtomic: 60n })
  expect(codeOf(ledger, reserve(3n, 90n, 249n, 250n))).toBe('payer-exposure-exceeded')
  expect(codeOf(ledger, reserve(3n, 90n, 1000n, 250n))).toBe('accepted')
  // Settled: the chain has taken it from the balance.
  ledger.apply({ type: 'upto-settled', payer, nonce: 1n })
  expect(ledger.state.payers.get(payer)).toMatchObject({
    reservedAtomic: 190n,
    unsettledAtomic: 0n,
  })
})

test('payers that were refused, and payers that owe nothing, are not remembered', () => {
  const ledger = createLedger()
  for (let each = 1; each <= 100; each++) {
    const refused = { ...reserve(1n, 100n, 1000n, 50n), payer: addressOf(each) }
    expect(codeOf(ledger, refused)).toBe('payer-funds-exceeded')
  }
  expect(ledger.state.payers.size).toBe(0)
  for (const end of ['upto-released', 'upto-charged', 'upto-settled'] as const) {
    const nonce = end === 'upto-released' ? 1n : 2n
    if (end !== 'upto-settled') expect(codeOf(ledger, reserve(nonce, 100n))).toBe('accepted')
    expect(ledger.state.payers.size).toBe(1)
    expect(codeOf(ledger, { type: end, payer, nonce, amountAtomic: 5n })).toBe('accepted')
  }
  expect(ledger.state.payers.size).toBe(0)
  // Its payment is: it was used.
  expect(ledger.state.payments.size).toBe(1)
})

test('a settlement that was taken back is owed again, and may fail', () => {
  const ledger = createLedger()
  ledger.apply(reserve(1n, 100n))
  ledger.apply({ type: 'upto-charged', payer, nonce: 1n, amountAtomic: 60n })
  expect(codeOf(ledger, { type: 'upto-unsettled', payer, nonce: 1n })).toBe('not-settleable')
  ledger.apply({ type: 'upto-settled', payer, nonce: 1n })
  expect(ledger.state.payers.size).toBe(0)
  expect(codeOf(ledger, { type: 'upto-unsettled', payer, nonce: 1n })).toBe('accepted')
  expect(ledger.state.payers.get(payer)?.unsettledAtomic).toBe(60n)
  expect(codeOf(ledger, { type: 'upto-forgotten', payer, nonce: 1n })).toBe('still-needed')
  ledger.apply({ type: 'upto-failed', payer, nonce: 1n })
  expect(ledger.state.payers.get(payer)?.failedAtomic).toBe(60n)
  // A charge of 0 settled nothing.
  ledger.apply(reserve(2n, 30n))
  ledger.apply({ type: 'upto-charged', payer, nonce: 2n, amountAtomic: 0n })
  expect(codeOf(ledger, { type: 'upto-unsettled', payer, nonce: 2n })).toBe('not-settleable')
})

test('a failed settlement counts against the payer for ever', () => {
  const ledger = createLedger()
  ledger.apply(reserve(1n, 100n))
  ledger.apply({ type: 'upto-charged', payer, nonce: 1n, amountAtomic: 60n })
  ledger.apply({ type: 'upto-failed', payer, nonce: 1n })
  expect(codeOf(ledger, reserve(2n, 50n, 109n))).toBe('payer-exposure-exceeded')
  expect(codeOf(ledger, { type: 'upto-forgotten', payer, nonce: 1n })).toBe('accepted')
  expect(codeOf(ledger, reserve(2n, 50n, 109n))).toBe('payer-exposure-exceeded')
  expect(codeOf(ledger, reserve(2n, 50n, 110n))).toBe('accepted')
})

test.each<readonly [string, LedgerEvent]>([
  ['amount-invalid', reserve(9n, 0n)],
  ['amount-invalid', { type: 'upto-charged', payer, nonce: 1n, amountAtomic: -1n }],
  ['amount-invalid', { type: 'upto-progressed', payer, nonce: 1n, amountAtomic: 4n }],
  ['charge-exceeds-reservation', { type: 'upto-charged', payer, nonce: 1n, amountAtomic: 101n }],
  ['charge-exceeds-reservation', { type: 'upto-progressed', payer, nonce: 1n, amountAtomic: 101n }],
  ['call-unknown', { type: 'upto-charged', payer, nonce: 9n, amountAtomic: 1n }],
  ['call-unknown', { type: 'upto-charged', payer, nonce: 2n, amountAtomic: 1n }],
  ['call-unknown', { type: 'upto-progressed', payer, nonce: 2n, amountAtomic: 1n }],
  ['call-unknown', { type: 'upto-released', payer, nonce: 2n }],
  ['not-settleable', { type: 'upto-settled', payer, nonce: 1n }],
  ['still-needed', { type: 'upto-forgotten', payer, nonce: 1n }],
  ['still-needed', { type: 'upto-forgotten', payer, nonce: 2n }],
  ['call-unknown', { type: 'receipt-issued', callId: callOf(9) }],
  ['transaction-unknown', { type: 'transaction-ended', hash: wordOf(9) }],
])('what only a mistake of ours sends is refused: %s', (code, event) => {
  const ledger = createLedger()
  ledger.apply(reserve(1n, 100n))
  ledger.apply({ type: 'upto-progressed', payer, nonce: 1n, amountAtomic: 5n })
  ledger.apply(reserve(2n, 100n))
  ledger.apply({ type: 'upto-charged', payer, nonce: 2n, amountAtomic: 5n })
  expect(codeOf(ledger, event)).toBe(code)
})

test('a signed transaction is remembered until it ended, once', () => {
  const ledger = createLedger()
  const transaction = {
    hash: wordOf(1),
    raw: '0x02',
    transactionNonce: 4,
    purpose: { kind: 'settle' },
  } as const
  const signed = { type: 'transaction-signed', transaction } as const
  expect(codeOf(ledger, signed)).toBe('accepted')
  expect(codeOf(ledger, signed)).toBe('transaction-exists')
  expect(codeOf(ledger, { type: 'transaction-ended', hash: wordOf(1) })).toBe('accepted')
  expect(ledger.state.transactions.size).toBe(0)
})
