import * as fc from 'fast-check'
import { privateKeyToAccount } from 'viem/accounts'
import { sign } from 'viem/accounts'
import { keccak256, toHex } from 'viem'
import { expect, test } from 'vitest'
import { parseEvmSignature } from '@countersign/protocol/payment/evm-signature'
import {
  addCall,
  areLostCallsOver,
  correctChannel,
  loseCall,
  nextCeiling,
  raiseSettled,
  releaseCall,
  settleCall,
  type CeilingMode,
  type ChannelRecord,
} from '../src/pay/channel-record.ts'
import { recoverSigner } from '../src/pay/recover-signer.ts'
import { accepted, createGateway, fresh, pay } from './kit/channel-gateway.ts'

test('for any order of calls, losses and answers, an honest gateway admits all and is never blamed', () => {
  const step = fc.record({
    amount: fc.bigInt(1n, 100n),
    share: fc.integer({ min: 0, max: 100 }),
    fate: fc.constantFrom('settled', 'settled', 'lost', 'refused', 'unsent'),
    waits: fc.constantFrom('no', 'charge', 'receipt'),
    shown: fc.constantFrom('nothing', 'nothing', 'correction', 'claim'),
  })
  let admitted = 0
  const property = fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => {
    const gateway = createGateway()
    const ceilings = new Set<bigint>()
    const waiting: (() => void)[] = []
    let record = fresh
    for (const [index, { amount, share, fate, waits, shown }] of steps.entries()) {
      const id = `${index}`
      record = pay(record, id, amount)
      const ceiling = record.pending.at(-1)?.ceilingAtomic ?? 0n
      expect(ceilings.has(ceiling)).toBe(false)
      ceilings.add(ceiling)
      if (fate === 'refused') record = releaseCall(record, id)
      else if (fate === 'unsent') record = loseCall(record, id)
      else {
        expect(gateway.admit(id, amount, ceiling)).toBe(true)
        admitted += 1
        const charge = () => gateway.charge(id, (amount * BigInt(share)) / 100n)
        const early = waits === 'receipt' ? charge() : undefined
        const end = (): void => {
          const told = early ?? charge()
          if (fate === 'lost') record = loseCall(record, id)
          else record = accepted(settleCall(record, id, told, false))
        }
        if (waits === 'no') end()
        else waiting.push(end)
      }
      if (shown === 'claim') record = raiseSettled(record, gateway.charged())
      if (shown === 'correction') {
        const told = {
          chargedAtomic: gateway.charged(),
          reservedAtomic: gateway.reserved(),
          provenSignedAtomic: 0n,
        }
        record = accepted(correctChannel(record, told, 'unique-ceiling', 0))
      }
      const pending = record.pending.reduce((sum, call) => sum + call.amountAtomic, 0n)
      expect(gateway.charged()).toBeGreaterThanOrEqual(record.settledAtomic)
      expect(gateway.charged()).toBeLessThanOrEqual(record.settledAtomic + pending)
    }
    for (const end of waiting) end()
    // A call that runs alone says what became of those that were lost.
    record = pay(record, 'alone', 5n)
    const ceiling = record.pending.at(-1)?.ceilingAtomic ?? 0n
    expect(gateway.admit('alone', 5n, ceiling)).toBe(true)
    record = accepted(settleCall(record, 'alone', gateway.charge('alone', 3n), true))
    expect(record.settledAtomic).toBe(gateway.charged())
    expect(record.pending).toEqual([])
  })
  fc.assert(property, { numRuns: 300 })
  expect(admitted).toBeGreaterThan(1000)
})

test('a charge above the ceiling of its call, or a total above what is owed, is refused', () => {
  const record = pay(pay(fresh, 'a', 100n), 'b', 50n)
  const charge = (amountAtomic: bigint, cumulativeAtomic: bigint) =>
    settleCall(record, 'a', { amountAtomic, cumulativeAtomic }, false)
  expect(charge(101n, 101n).kind).toBe('refused')
  expect(charge(40n, 91n).kind).toBe('refused')
  expect(charge(40n, 90n).kind).toBe('accepted')
  // Of a call that is not known nothing follows.
  expect(settleCall(record, 'c', { amountAtomic: 9n, cumulativeAtomic: 999n }, false)).toEqual({
    kind: 'accepted',
    record,
  })
})

/** How much the next voucher for this amount adds to what can be taken. */
function growthOf(record: ChannelRecord, amountAtomic: bigint, mode: CeilingMode): bigint {
  return nextCeiling(record, amountAtomic, mode) - record.signedAtomic
}

function correctTo(record: ChannelRecord, chargedAtomic: bigint): ChannelRecord {
  return accepted(
    correctChannel(
      record,
      { chargedAtomic, reservedAtomic: 0n, provenSignedAtomic: 0n },
      'unique-ceiling',
      0,
    ),
  )
}

test('what became of a lost call can be said once: no correction or claim makes a ceiling jump', () => {
  const lost = loseCall(pay(fresh, 'lost', 100n), 'lost')
  const corrected = correctTo(lost, 100n)
  expect(corrected).toMatchObject({ settledAtomic: 100n, pending: [] })
  expect(growthOf(corrected, 10n, 'unique-ceiling')).toBe(10n)
  const claimed = raiseSettled(lost, 60n)
  expect(claimed.settledAtomic).toBe(60n)
  expect(claimed.pending).toMatchObject([{ id: 'lost', amountAtomic: 40n }])
  expect(growthOf(claimed, 10n, 'unique-ceiling')).toBe(10n)
  // A call that a gateway says to have forgotten is one more of those.
  const reserved = accepted(
    correctChannel(
      releaseCall(lost, 'lost'),
      { chargedAtomic: 0n, reservedAtomic: 100n, provenSignedAtomic: 0n },
      'unique-ceiling',
      0,
    ),
  )
  expect(reserved.pending).toMatchObject([{ id: 'forgotten', amountAtomic: 100n }])
  expect(growthOf(correctTo(reserved, 100n), 10n, 'unique-ceiling')).toBe(10n)
})

test('what a call under way may have been charged is left to its receipt', () => {
  const both = pay(loseCall(pay(fresh, 'lost', 100n), 'lost'), 'running', 50n)
  const raised = raiseSettled(both, 130n)
  expect(raised.settledAtomic).toBe(80n)
  expect(raised.pending).toMatchObject([
    { id: 'lost', amountAtomic: 20n },
    { id: 'running', amountAtomic: 50n },
  ])
  const charge = { amountAtomic: 30n, cumulativeAtomic: 130n }
  expect(accepted(settleCall(raised, 'running', charge, false)).settledAtomic).toBe(110n)
  // More than all of them: somebody else has signed it, or we forgot.
  const forgotten = raiseSettled(both, 170n)
  expect(forgotten.settledAtomic + 50n).toBe(170n)
  expect(raiseSettled(fresh, 70n).settledAtomic).toBe(70n)
  expect(raiseSettled(both, 0n)).toBe(both)
})

test('a total above all that was signed is refused, however many calls were lost', () => {
  // One at a time, each with the ceiling that the refused one before it had.
  let record = fresh
  for (const id of ['a', 'b', 'c']) {
    const ceilingAtomic = nextCeiling(record, 10n, 'strict')
    const call = { id, ceilingAtomic, amountAtomic: 10n, sentAtMs: 0 }
    record = addCall(record, call, undefined)
    if (id !== 'c') record = loseCall(record, id)
  }
  expect(record.signedAtomic).toBe(10n)
  const total = (cumulativeAtomic: bigint) =>
    settleCall(record, 'c', { amountAtomic: 10n, cumulativeAtomic }, true)
  expect(total(11n).kind).toBe('refused')
  expect(accepted(total(10n)).settledAtomic).toBe(10n)
})

test('a correction is believed as far as our own signature or what is pending bears it out', () => {
  const record = accepted(
    settleCall(pay(fresh, 'a', 100n), 'a', { amountAtomic: 40n, cumulativeAtomic: 40n }, false),
  )
  const pending = loseCall(pay(record, 'b', 60n), 'b')
  const correct = (chargedAtomic: bigint, reservedAtomic = 0n, provenSignedAtomic = 0n) =>
    correctChannel(
      { ...pending, claimedAtomic: 30n },
      { chargedAtomic, reservedAtomic, provenSignedAtomic },
      'unique-ceiling',
      0,
    )
  expect(correct(100n).kind).toBe('accepted')
  expect(correct(101n).kind).toBe('refused')
  expect(correct(29n).kind).toBe('refused')
  expect(correct(100n, 2n).kind).toBe('refused')
  expect(correct(500n, 0n, 400n).kind).toBe('refused')
  expect(accepted(correct(400n, 50n, 500n))).toMatchObject({
    settledAtomic: 400n,
    signedAtomic: 500n,
  })
  const strict = correctChannel(
    pending,
    { chargedAtomic: 70n, reservedAtomic: 0n, provenSignedAtomic: 0n },
    'strict',
    0,
  )
  expect(accepted(strict)).toMatchObject({ settledAtomic: 70n, pending: [] })
  expect(nextCeiling(accepted(strict), 5n, 'strict')).toBe(75n)
})

test('lost calls are over when the longest call is', () => {
  const record = loseCall(pay(fresh, 'a', 1n), 'a')
  expect(areLostCallsOver(record, 999, 1000)).toBe(false)
  expect(areLostCallsOver(record, 1000, 1000)).toBe(true)
  expect(areLostCallsOver(fresh, 1000, 1000)).toBe(false)
})

test('recovers the signer of any signature, as viem signs', async () => {
  for (let index = 0; index < 12; index++) {
    const key = keccak256(toHex(`key ${index}`))
    const hash = keccak256(toHex(`digest ${index}`))
    const signature = parseEvmSignature(await sign({ hash, privateKey: key, to: 'hex' }))
    const digest = Uint8Array.from(Buffer.from(hash.slice(2), 'hex'))
    const expected = privateKeyToAccount(key).address.toLowerCase()
    expect(recoverSigner(digest, signature)).toBe(expected)
    const other = { ...signature, recovery: signature.recovery === 0 ? 1 : 0 } as const
    expect(recoverSigner(digest, other)).not.toBe(expected)
  }
  const none = { compact: new Uint8Array(64).fill(0), recovery: 0 } as const
  none.compact[31] = 5
  none.compact[63] = 1
  // No point of the curve has x = 5.
  expect(recoverSigner(new Uint8Array(32), none)).toBeUndefined()
})
