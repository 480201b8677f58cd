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
  createChannelRecord,
  loseCall,
  nextCeiling,
  releaseCall,
  settleCall,
  type ChannelRecord,
} from '../src/pay/channel-record.ts'
import { recoverSigner } from '../src/pay/recover-signer.ts'

const address = `0x${'11'.repeat(20)}` as const
const fresh = createChannelRecord({
  channelId: `0x${'22'.repeat(32)}`,
  origin: 'http://127.0.0.1',
  network: 'eip155:84532',
  config: {
    payer: address,
    payerAuthorizer: address,
    receiver: address,
    receiverAuthorizer: address,
    token: address,
    withdrawDelaySeconds: 900n,
    salt: `0x${'00'.repeat(32)}`,
  },
})

function accepted(judged: ReturnType<typeof settleCall>): ChannelRecord {
  if (judged.kind === 'refused') throw new Error(judged.reason)
  return judged.record
}

function pay(record: ChannelRecord, id: string, amountAtomic: bigint): ChannelRecord {
  const ceilingAtomic = nextCeiling(record, amountAtomic, 'unique-ceiling')
  return addCall(record, { id, ceilingAtomic, amountAtomic, sentAtMs: 0 }, undefined)
}

/** A gateway that keeps PA18.4: what it accepts, and what C and S are. */
function createGateway() {
  const used = new Set<bigint>()
  const running = new Map<string, bigint>()
  let charged = 0n
  let signed = 0n
  const sum = (): bigint => [...running.values()].reduce((a, b) => a + b, 0n)
  return {
    admit: (id: string, amount: bigint, ceiling: bigint): boolean => {
      const most = ceiling > signed ? ceiling : signed
      if (used.has(ceiling) || ceiling < charged + amount) return false
      if (most < charged + sum() + amount) return false
      used.add(ceiling)
      signed = most
      running.set(id, amount)
      return true
    },
    charge: (id: string, amount: bigint) => {
      running.delete(id)
      charged += amount
      return { amountAtomic: amount, cumulativeAtomic: charged }
    },
    charged: () => charged,
  }
}

test('for any order of calls, losses and answers, an honest gateway admits all and is never blamed', () => {
  const step = fc.record({
    amount: fc.bigInt(1n, 100n),
    share: fc.integer({ min: 0, max: 100 }),
    fate: fc.constantFrom('settled', 'settled', 'lost', 'refused', 'unsent'),
    waits: fc.boolean(),
  })
  let admitted = 0
  const property = fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => {
    const gateway = createGateway()
    const ceilings = new Set<bigint>()
    const waiting: (() => void)[] = []
    let record = fresh
    for (const [index, { amount, share, fate, waits }] of steps.entries()) {
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
        const end = (): void => {
          const charge = gateway.charge(id, (amount * BigInt(share)) / 100n)
          if (fate === 'lost') record = loseCall(record, id)
          else record = accepted(settleCall(record, id, charge, false))
        }
        if (waits) waiting.push(end)
        else end()
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
