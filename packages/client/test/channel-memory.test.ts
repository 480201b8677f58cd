/** What a payer without its memory believes of a gateway. */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  correctChannel,
  loseCall,
  nextCeiling,
  releaseCall,
  settleCall,
} from '../src/pay/channel-record.ts'
import { accepted, createGateway, fresh, pay } from './kit/channel-gateway.ts'

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
