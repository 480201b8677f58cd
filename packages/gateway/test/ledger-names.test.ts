import { expect, test } from 'vitest'
import { createLedger, type Ledger, type LedgerEvent } from '../src/payment/ledger/ledger.ts'
import { encodeRecord, parseRecord } from '../src/payment/ledger/record-codec.ts'
import { createCallName, takeName } from '../src/payment/call-names.ts'

const word = (value: number): `0x${string}` => `0x${value.toString(16).padStart(64, '0')}`
const address = (value: number): `0x${string}` => `0x${value.toString(16).padStart(40, '0')}`
const id = (value: number): string => value.toString(16).padStart(32, '0')
const payer = address(1)

function reserve(ledger: Ledger, call: number): void {
  const permit = {
    token: address(2),
    amountAtomic: 10n,
    spender: address(3),
    nonce: BigInt(call),
    deadlineSeconds: 99n,
    to: address(4),
    facilitator: address(5),
    validAfterSeconds: 0n,
    signature: `0x${'1'.repeat(130)}`,
  } as const
  apply(ledger, {
    type: 'upto-reserved',
    payer,
    permit,
    callId: id(call),
    requestHash: word(call),
    fundsAtomic: 1000n,
    maxExposureAtomic: 1000n,
  })
}

function take(name: number, call: number, atMs: number): LedgerEvent {
  return { type: 'name-taken', name: id(name), callId: id(call), requestHash: word(call), atMs }
}

/** Through the form on disk, as a restart would. */
function apply(ledger: Ledger, event: LedgerEvent): void {
  expect(ledger.apply(parseRecord(encodeRecord(event)))).toMatchObject({ kind: 'accepted' })
}

function restart(ledger: Ledger): Ledger {
  const next = createLedger()
  for (const event of ledger.dump()) apply(next, event)
  expect(next.dump()).toEqual(ledger.dump())
  return next
}

test('a name is taken while its call runs, used when it is charged, free when it is released', () => {
  let ledger = createLedger()
  for (const call of [1, 2, 3]) {
    reserve(ledger, call)
    apply(ledger, take(call, call, call))
  }
  expect(ledger.apply(take(1, 9, 9))).toEqual({ kind: 'refused', code: 'call-exists' })
  ledger = restart(ledger)
  apply(ledger, { type: 'upto-charged', payer, nonce: 1n, amountAtomic: 5n })
  apply(ledger, { type: 'upto-charged', payer, nonce: 2n, amountAtomic: 0n })
  apply(ledger, { type: 'upto-released', payer, nonce: 3n })
  ledger = restart(ledger)
  const states = Array.from(ledger.state.names.values(), ({ name, state }) => [name, state])
  expect(states).toEqual([
    [id(1), 'used'],
    [id(2), 'used'],
  ])
  // Taken again, it is that of the later call.
  apply(ledger, take(1, 4, 4))
  expect(ledger.state.names.get(id(1))).toMatchObject({ callId: id(4), state: 'running' })
})

test('forgets the oldest names that are used, and none of a call that runs', () => {
  const ledger = createLedger()
  for (const call of [1, 2, 3, 4]) {
    reserve(ledger, call)
    apply(ledger, take(call, call, call * 10))
    if (call !== 2)
      apply(ledger, { type: 'upto-charged', payer, nonce: BigInt(call), amountAtomic: 1n })
  }
  apply(ledger, { type: 'names-forgotten', beforeMs: 40 })
  expect([...restart(ledger).state.names.keys()]).toEqual([id(2), id(4)])
})

test('keeps no more names than it may, also while the call of the oldest runs', () => {
  const ledger = createLedger()
  const most = 262_144
  const requestHash = word(1)
  for (let call = 0; call < most; call++) {
    const state = call === 0 ? 'running' : 'used'
    const callId = id(call)
    const named = { name: callId, callId, requestHash }
    // A hundred calls a second, but for the first.
    const atMs = call === 0 ? 0 : 10_000 + call * 10
    ledger.apply({ type: 'name-restored', call: { ...named, atMs, state } })
  }
  const durable = {
    ...ledger,
    durable: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const atMs = 10_000 + most * 10
  takeName(durable, payer, { name: createCallName('new'), callId: id(most), requestHash }, atMs)
  expect(ledger.state.names.size).toBeLessThanOrEqual(most)
  expect(ledger.state.names.get(id(0))).toMatchObject({ state: 'running' })
  expect(ledger.state.names.has(id(1))).toBe(false)
  expect(ledger.state.names.has(id(200))).toBe(true)
})

test('refuses names that no gateway wrote', () => {
  for (const change of [
    { name: 'A'.repeat(32) },
    { name: id(1).slice(1) },
    { more: 1 },
    { atMs: -1 },
  ]) {
    const line = JSON.stringify({ ...Object(JSON.parse(encodeRecord(take(1, 1, 1)))), ...change })
    expect(() => parseRecord(line)).toThrow('does not know')
  }
})
