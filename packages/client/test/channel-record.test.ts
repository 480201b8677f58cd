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
  raiseSettled,
  releaseCall,
  settleCall,
  type CeilingMode,
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
function createGateway(past = { charged: 0n, signed: 0n, reserved: 0n }) {
  const used = new Set<bigint>([past.signed])
  const running = new Map<string, bigint>()
  if (past.reserved > 0n) running.set('past', past.reserved)
  let { charged, signed } = past
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
    reserved: sum,
    signed: () => signed,
  }
}

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

/** A payer without its memory, as the channel payer keeps it, before a gateway with this past. */
function createForgetful(past: Parameters<typeof createGateway>[0]) {
  const gateway = createGateway(past)
  const startedWith = new Map<string, bigint>()
  let record = fresh
  let isBlank = true
  let ended = 0n
  return {
    gateway,
    record: () => record,
    /** Whether the gateway took it; else what it says of the channel. */
    pay: (id: string, amount: bigint) => {
      record = pay(record, id, amount)
      startedWith.set(id, ended)
      if (gateway.admit(id, amount, record.pending.at(-1)?.ceilingAtomic ?? 0n)) return undefined
      return {
        chargedAtomic: gateway.charged(),
        reservedAtomic: gateway.reserved(),
        provenSignedAtomic: gateway.signed(),
      }
    },
    correct: (id: string, told: Parameters<typeof correctChannel>[1]) => {
      record = releaseCall(record, id)
      const known = isBlank ? { ...record, signedAtomic: 0n } : record
      const endedAtomic = ended - (startedWith.get(id) ?? 0n)
      const { signedAtomic } = record
      record = accepted(correctChannel(known, { ...told, endedAtomic }, 'unique-ceiling', 0))
      if (record.signedAtomic < signedAtomic) record = { ...record, signedAtomic }
      isBlank = false
    },
    settle: (id: string, charge: ReturnType<typeof gateway.charge>) => {
      ended += record.pending.find((call) => call.id === id)?.amountAtomic ?? 0n
      record = accepted(settleCall(record, id, charge, false))
    },
    lose: (id: string) => {
      ended += record.pending.find((call) => call.id === id)?.amountAtomic ?? 0n
      record = loseCall(record, id)
    },
  }
}

test.each([
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
])('calls that were refused together are corrected in any order: %i, %i, %i', (...order) => {
  const ids = ['a', 'b', 'c']
  for (const retryAtOnce of [true, false]) {
    const past = { charged: 1000n, signed: 1100n, reserved: 0n }
    const { gateway, record, pay: send, correct, settle } = createForgetful(past)
    const told = ids.map((id) => send(id, 100n))
    const retry = (id: string): void => expect(send(`${id} again`, 100n)).toBeUndefined()
    for (const index of order) {
      const [id, correction] = [ids[index] ?? '', told[index]]
      if (correction === undefined) throw new Error('admitted')
      correct(id, correction)
      if (retryAtOnce) retry(id)
    }
    if (!retryAtOnce) for (const id of ids) retry(id)
    for (const id of ids) settle(`${id} again`, gateway.charge(`${id} again`, 100n))
    expect(gateway.charged()).toBe(1300n)
    expect(record().settledAtomic).toBeLessThanOrEqual(1300n)
  }
})

test('a call that is admitted and charged before a correction of one beside it is read explains nothing', () => {
  // The first is refused, the second is admitted and its receipt is read first.
  const past = { charged: 50n, signed: 100n, reserved: 0n }
  const { gateway, record, pay: send, correct, settle } = createForgetful(past)
  const told = send('a', 100n)
  if (told === undefined) throw new Error('admitted')
  expect(send('b', 100n)).toBeUndefined()
  settle('b', gateway.charge('b', 100n))
  correct('a', told)
  expect(send('a again', 100n)).toBeUndefined()
  settle('a again', gateway.charge('a again', 100n))
  expect(record().settledAtomic).toBeLessThanOrEqual(250n)
})

test('for any order of calls, a payer without its memory never blames an honest gateway', () => {
  const step = fc.record({
    amount: fc.bigInt(1n, 100n),
    share: fc.bigInt(0n, 100n),
    fate: fc.constantFrom('settled', 'settled', 'lost'),
    which: fc.nat(20),
    ends: fc.nat(3),
  })
  const pasts = fc.oneof(
    // More than all calls together: none is admitted before a correction.
    fc.record({ charged: fc.bigInt(4000n, 9000n), reserved: fc.bigInt(0n, 200n) }),
    fc.record({ charged: fc.bigInt(0n, 300n), reserved: fc.constant(0n) }),
  )
  let corrected = 0
  const run = (
    past: { readonly charged: bigint; readonly reserved: bigint },
    over: bigint,
    steps: readonly {
      readonly amount: bigint
      readonly share: bigint
      readonly fate: string
      readonly which: number
      readonly ends: number
    }[],
  ): void => {
    const before = corrected
    const signed = past.charged + past.reserved + over
    const payer = createForgetful({ ...past, signed })
    const { gateway } = payer
    const waiting: (() => void)[] = []
    if (past.reserved > 0n) waiting.push(() => void gateway.charge('past', past.reserved))
    const endOne = (which: number): void => waiting.splice(which % waiting.length, 1)[0]?.()
    for (const [index, { amount, share, fate, which, ends }] of steps.entries()) {
      const id = `${index}`
      const told = payer.pay(id, amount)
      if (told !== undefined) {
        corrected += 1
        waiting.push(() => payer.correct(id, told))
      } else if (fate === 'lost') {
        gateway.charge(id, (amount * share) / 100n)
        waiting.push(() => payer.lose(id))
      } else {
        waiting.push(() => {
          const charge = gateway.charge(id, (amount * share) / 100n)
          waiting.push(() => payer.settle(id, charge))
        })
      }
      for (let end = 0; end < ends && waiting.length > 0; end++) endOne(which + end)
    }
    while (waiting.length > 0) endOne(7)
    const { settledAtomic, pending } = payer.record()
    const owed = pending.reduce((sum, call) => sum + call.amountAtomic, settledAtomic)
    expect(gateway.charged()).toBeGreaterThanOrEqual(settledAtomic)
    if (corrected > before) expect(gateway.charged()).toBeLessThanOrEqual(owed)
  }
  const steps = fc.array(step, { minLength: 5, maxLength: 30 })
  fc.assert(fc.property(pasts, fc.bigInt(0n, 200n), steps, run), { numRuns: 500 })
  expect(corrected).toBeGreaterThan(100)
})

/** A gateway that says anything, after so much was signed by a payer who forgot it. */
function runHostile(
  before: bigint,
  steps: readonly {
    readonly amount: bigint
    readonly charged: bigint
    readonly reserved: bigint
    readonly proven: boolean
    readonly fate: string
  }[],
): void {
  let record = fresh
  let most = before
  for (const [index, { amount, charged, reserved, proven, fate }] of steps.entries()) {
    const id = `${index}`
    record = pay(record, id, amount)
    most += amount + 1n
    if (fate === 'lost') record = loseCall(record, id)
    else record = releaseCall(record, id)
    if (fate !== 'corrected') continue
    const provenSignedAtomic = proven ? before : 0n
    const told = { chargedAtomic: charged, reservedAtomic: reserved, provenSignedAtomic }
    const judged = correctChannel(record, told, 'unique-ceiling', 0)
    if (judged.kind === 'refused') continue
    record = judged.record
  }
  expect(record.signedAtomic).toBeLessThanOrEqual(most)
  expect(nextCeiling(record, 1n, 'unique-ceiling')).toBeLessThanOrEqual(most + 1n)
}

test('whatever a gateway says to a payer without its memory, ceilings grow by no more than its calls', () => {
  const step = fc.record({
    amount: fc.bigInt(1n, 100n),
    charged: fc.bigInt(0n, 3000n),
    reserved: fc.bigInt(0n, 1000n),
    proven: fc.boolean(),
    fate: fc.constantFrom('corrected', 'corrected', 'lost', 'refused'),
  })
  const steps = fc.array(step, { minLength: 5, maxLength: 30 })
  fc.assert(fc.property(fc.bigInt(0n, 3000n), steps, runHostile), { numRuns: 500 })
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

test('what became of a lost call can be said once: no correction or claim makes a ceiling jump', () => {
  const lost = loseCall(pay(fresh, 'lost', 100n), 'lost')
  const correct = (record: ChannelRecord, chargedAtomic: bigint): ChannelRecord =>
    accepted(
      correctChannel(
        record,
        { chargedAtomic, reservedAtomic: 0n, provenSignedAtomic: 0n },
        'unique-ceiling',
        0,
      ),
    )
  const corrected = correct(lost, 100n)
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
  expect(growthOf(correct(reserved, 100n), 10n, 'unique-ceiling')).toBe(10n)
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
