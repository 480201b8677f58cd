import { expect, test } from 'vitest'
import { auditCalls, type AuditedCall } from '@countersign/protocol/receipt/audit'
import type { Charge } from '@countersign/protocol/receipt/charge'

let calls = 0

/** Each is another statement unless the digest says otherwise. */
function call(
  name: string,
  charge: Charge,
  changes: Partial<AuditedCall['payload']> & { readonly digest?: Uint8Array } = {},
): AuditedCall {
  const { digest = word(1000 + calls), ...payload } = changes
  calls++
  return {
    name,
    digest,
    bill: { kind: 'fixed', priceAtomic: 0n },
    payload: {
      type: 'receipt',
      id: word(calls).subarray(16),
      sequence: calls * 10,
      previous: word(0),
      keysetDigest: word(7),
      timeMs: 0,
      charge,
      claimsRoot: word(0),
      claimsCount: 1,
      ...payload,
    },
  }
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(32)
  new DataView(bytes.buffer).setUint32(28, value)
  return bytes
}

const chain = { network: 'eip155:1', asset: '0xAb' } as const
const upto = (amountAtomic: bigint, nonce: number): Charge => ({
  scheme: 'upto',
  ...chain,
  amountAtomic,
  paymentId: word(nonce),
})
const channel = (amountAtomic: bigint, cumulativeAtomic: bigint, id = 9): Charge => ({
  scheme: 'batch-settlement',
  ...chain,
  asset: '0xaB',
  amountAtomic,
  cumulativeAtomic,
  paymentId: word(id),
})
const apiKey = (amountAtomic: bigint): Charge => ({
  scheme: 'api-key',
  amountAtomic,
  asset: 'USDC',
  paymentId: word(3),
})

test('adds up by channel, asset and scheme', () => {
  const audit = auditCalls([
    call('a', upto(5n, 1)),
    call('b', upto(7n, 2)),
    call('c', channel(10n, 10n)),
    // One receipt lies between these two.
    call('d', channel(4n, 20n)),
    call('e', channel(2n, 16n)),
    call('f', channel(3n, 3n, 10)),
    call('g', apiKey(8n)),
    call('h', apiKey(1n)),
    call('i', { scheme: 'none', amountAtomic: 0n }),
  ])
  expect(audit.findings).toEqual([])
  expect(audit.calls).toBe(9)
  expect(
    audit.totals.map(({ scheme, calls: count, chargedAtomic, cumulativeAtomic, missingAtomic }) => [
      scheme,
      count,
      chargedAtomic,
      cumulativeAtomic,
      missingAtomic,
    ]),
  ).toEqual([
    ['upto', 2, 12n, 12n, 0n],
    ['batch-settlement', 3, 16n, 20n, 4n],
    ['batch-settlement', 1, 3n, 3n, 0n],
    ['api-key', 2, 9n, 9n, 0n],
  ])
})

test('the same statement twice counts once', () => {
  const same = call('a', upto(5n, 1))
  const audit = auditCalls([same, { ...same, name: 'copy' }])
  expect(audit).toMatchObject({ calls: 1, repeated: 1, findings: [] })
  expect(audit.totals[0]?.chargedAtomic).toBe(5n)
})

test('a charge that was stated again after a crash counts once', () => {
  const id = word(77).subarray(16)
  const told = call('a', channel(5n, 5n), { id })
  const again: AuditedCall = {
    ...call('again', channel(5n, 5n), { id }),
    bill: { kind: 'open', reason: 'recovered' },
  }
  for (const given of [
    [told, again],
    [again, told],
  ]) {
    const audit = auditCalls(given)
    expect(audit).toMatchObject({ calls: 1, repeated: 1, findings: [] })
    expect(audit.totals[0]?.chargedAtomic).toBe(5n)
  }
  expect(auditCalls([again])).toMatchObject({ calls: 1, findings: [] })
  const other: AuditedCall = {
    ...call('other', channel(6n, 11n), { id }),
    bill: { kind: 'open', reason: 'recovered' },
  }
  expect(auditCalls([told, other]).findings).toEqual([
    { code: 'receipt-forked', names: ['a', 'other'] },
  ])
})

test('a payment that two calls charged', () => {
  const exact: Charge = { scheme: 'exact', ...chain, amountAtomic: 5n, paymentId: word(1) }
  const credit: Charge = { ...exact, amountAtomic: 0n }
  expect(
    auditCalls([call('a', credit), call('b', exact), call('c', upto(5n, 1))]).findings,
  ).toEqual([])
  expect(auditCalls([call('a', exact), call('b', exact)]).findings).toEqual([
    { code: 'payment-charged-twice', names: ['a', 'b'] },
  ])
  const other: Charge = { ...exact, asset: '0xAB' }
  expect(auditCalls([call('a', exact), call('b', other)]).findings).toHaveLength(1)
})

test('two charges of a channel that cover the same amount', () => {
  const audit = auditCalls([
    call('b', channel(6n, 15n)),
    call('a', channel(10n, 10n)),
    call('free', channel(0n, 10n)),
  ])
  expect(audit.findings).toEqual([{ code: 'channel-overlap', names: ['a', 'b'] }])
  expect(audit.totals[0]?.missingAtomic).toBe(0n)
})

test('forks: of a receipt, and of a place', () => {
  const id = new Uint8Array(16)
  expect(
    auditCalls([call('a', upto(1n, 1), { id }), call('b', upto(1n, 2), { id })]).findings,
  ).toEqual([{ code: 'receipt-forked', names: ['a', 'b'] }])
  const sequence = 5
  const forked = auditCalls([
    call('a', upto(1n, 1), { sequence }),
    call('b', upto(1n, 2), { sequence }),
    call('c', upto(1n, 3), { sequence, keysetDigest: word(8) }),
  ])
  expect(forked.findings).toEqual([{ code: 'sequence-forked', names: ['a', 'b'] }])
})

test('a statement that does not follow its neighbour, and how many are missing', () => {
  const first = call('a', upto(1n, 1), { sequence: 3 })
  const good = call('b', upto(1n, 2), { sequence: 4, previous: first.digest })
  const bad = call('c', upto(1n, 3), { sequence: 5, previous: word(99) })
  const far = call('d', upto(1n, 4), { sequence: 9 })
  const audit = auditCalls([bad, far, good, first])
  expect(audit.findings).toEqual([{ code: 'sequence-broken', names: ['b', 'c'] }])
  expect(audit.holes).toBe(3)
  expect(auditCalls([])).toEqual({ calls: 0, repeated: 0, totals: [], findings: [], holes: 0 })
})
