import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { createPayerLimits } from '../src/limits/payer-limits.ts'
import type { AdmittedPayment, MeteredEnd, PaymentScheme } from '../src/payment/admission.ts'
import { createPaymentDesk, type PaymentDesk } from '../src/workers/payment-desk.ts'
import { createPipe, type Carrier, type Pipe } from '../src/workers/pipe.ts'
import type { CallToAdmit, PrimaryQuestions, WorkerQuestions } from '../src/workers/questions.ts'
import { createRemotePayment } from '../src/workers/remote-payment.ts'

const nowMs = 1_800_000_000_000

type Setup = {
  readonly desk: PaymentDesk
  /** How payments were ended: how, and with what use. */
  readonly ends: (readonly [string, bigint | undefined])[]
  readonly stored: string[]
  readonly open: Promise<void>[]
  /** What workers wait for before all of them ask the same prices. */
  readonly undecided: Promise<void>[]
}

/** A scheme that writes down what it is told. Each payer has one call at a time. */
function setUp(kind: Partial<Pick<AdmittedPayment, 'releases'>> & { metered?: boolean }): Setup {
  const ends: (readonly [string, bigint | undefined])[] = []
  const stored: string[] = []
  const open: Promise<void>[] = []
  const undecided: Promise<void>[] = []
  const metered: MeteredEnd = {
    headers: () => ({ 'payment-response': 'told' }),
    progress: () => undefined,
    receiptStored: () => stored.push('receipt'),
  }
  const scheme: PaymentScheme = {
    admit: async ({ limits, receiptId }) => {
      await Promise.all(open)
      const limited = limits?.enter(receiptId, 'payer')
      if (limited !== undefined) return { kind: 'refused', refusal: limited }
      const payment: AdmittedPayment = {
        payer: 'payer',
        release: () => Promise.resolve({ kind: 'released', headers: {} }),
        complete: (result, usedAtomic) => {
          ends.push([result, usedAtomic])
          return Promise.resolve({ scheme: 'none', amountAtomic: 0n })
        },
        metered: kind.metered === true ? metered : null,
        ...(kind.releases === undefined ? {} : { releases: kind.releases }),
      }
      return { kind: 'admitted', payment }
    },
    identify: () => null,
    close: () => Promise.resolve(),
  }
  const limits = createPayerLimits({ concurrentCalls: 1 }, () => nowMs)
  const agreed = async (): Promise<void> => {
    await Promise.all(undecided)
  }
  return { desk: createPaymentDesk(scheme, () => limits, agreed), ends, stored, open, undecided }
}

function call(first: number): CallToAdmit {
  return {
    receiptId: Uint8Array.from({ length: 16 }, () => first),
    method: 'POST',
    path: '/v1/chat/completions',
    bodyDigest: new Uint8Array(32),
    headers: {},
    model: 'a',
    priceAtomic: 10n,
    isPricedByUse: false,
    isStream: false,
    callerNetwork: '',
  }
}

const callId = toHex(call(1).receiptId)

test.each([
  ['what was not released is given back', {}, undefined, 'unused', undefined],
  [
    'a release that leaves no trace is given back',
    { releases: 'free' },
    'whole',
    'unused',
    undefined,
  ],
  ['a durable release is used', { releases: 'durable' }, 'whole', 'used', undefined],
  ['a metered whole answer has not left', { metered: true }, 'whole', 'unused', undefined],
  ['a metered stream costs what was proven', { metered: true }, 'stream', 'used', 4n],
] as const)('of a worker that is gone: %s', async (_, kind, form, result, usedAtomic) => {
  const { desk, ends } = setUp(kind)
  expect(await desk.answers.admit(call(1))).toMatchObject({ kind: 'admitted', payer: 'payer' })
  if (form !== undefined) await desk.answers.release({ callId, form })
  void desk.answers.progress({ callId, provenAtomic: 4n })
  void desk.answers.progress({ callId, provenAtomic: 3n })
  await desk.abandon()
  expect(ends).toEqual([[result, usedAtomic]])
  await desk.abandon()
  expect(ends).toHaveLength(1)
})

test('an end that was under way is not another one, and its receipt is owed until it is stored', async () => {
  const { desk, ends, stored } = setUp({ metered: true })
  await desk.answers.admit(call(1))
  await desk.answers.release({ callId, form: 'whole' })
  const end = await desk.answers.complete({ callId, result: 'used', usedAtomic: 7n })
  expect(end.headers).toEqual({ 'payment-response': 'told' })
  expect(await desk.abandon()).toEqual(new Set([callId]))
  expect(ends).toEqual([['used', 7n]])

  const other = setUp({ metered: true })
  await other.desk.answers.admit(call(1))
  await other.desk.answers.complete({ callId, result: 'used', usedAtomic: 7n })
  void other.desk.answers.receiptStored(callId)
  expect(other.stored).toEqual(['receipt'])
  expect(stored).toEqual([])
  expect(await other.desk.abandon()).toEqual(new Set())
})

test('a payment that is admitted after its worker died is given back, with its place', async () => {
  const { desk, ends, open } = setUp({})
  const gate = Promise.withResolvers<void>()
  open.push(gate.promise)
  const admitted = desk.answers.admit(call(1))
  const abandoned = desk.abandon()
  gate.resolve()
  await admitted
  await abandoned
  expect(ends).toEqual([['unused', undefined]])
  // The place of the payer is free.
  expect(await desk.answers.admit(call(2))).toMatchObject({ kind: 'admitted' })
})

test('a charge gives the place back: the caller may call again before the worker says that the call has ended', async () => {
  const { desk } = setUp({})
  await desk.answers.admit(call(1))
  expect((await desk.answers.admit(call(2))).kind).toBe('refused')
  await desk.answers.complete({ callId, result: 'used', usedAtomic: 10n })
  expect((await desk.answers.admit(call(3))).kind).toBe('admitted')
  // The place of the third is not given back for the first.
  void desk.answers.leave(callId)
  expect((await desk.answers.admit(call(4))).kind).toBe('refused')
})

test('while workers ask different prices a payment is admitted, and nobody is told a price', async () => {
  const { desk, undecided } = setUp({})
  const gate = Promise.withResolvers<void>()
  undecided.push(gate.promise)
  expect((await desk.answers.admit(call(1))).kind).toBe('admitted')
  const refused = desk.answers.admit(call(2))
  const early = await Promise.race([
    refused,
    new Promise((resolve) => setImmediate(resolve, 'nothing')),
  ])
  expect(early).toBe('nothing')
  gate.resolve()
  expect(await refused).toMatchObject({ kind: 'refused' })
})

test('a worker ends only what it holds', async () => {
  const { desk } = setUp({})
  await expect(
    desk.answers.complete({ callId, result: 'unused', usedAtomic: undefined }),
  ).rejects.toThrow('does not hold')
})

test.each([true, false])(
  'a call that asks for a stream (%s) does so at the primary, too',
  async (isStream) => {
    const told: unknown[] = []
    const pipe: Pipe<PrimaryQuestions> = {
      ask: (_, value) => {
        told.push(Object(value).isStream)
        return Promise.reject(new Error('no primary'))
      },
      tell: () => undefined,
      end: () => undefined,
    }
    const { bodyDigest, ...others } = call(1)
    const request = { ...others, bodyDigest: () => bodyDigest, isStream }
    await expect(createRemotePayment(pipe, false).scheme.admit(request)).rejects.toThrow('primary')
    expect(told).toEqual([isStream])
  },
)

/** The worker's end of a pipe to this desk, and what goes through it. */
function connect(desk: PaymentDesk): { pipe: Pipe<PrimaryQuestions>; asked: string[] } {
  const asked: string[] = []
  const listeners: ((message: unknown) => void)[] = []
  const carry = (to: number): Carrier => ({
    send: (frames) => {
      for (const frame of frames) if (frame.kind === 'ask') asked.push(frame.name)
      listeners[to]?.([...frames])
    },
    listen: (listener) => listeners.push(listener),
  })
  createPipe(carry(1), desk.answers, fail)
  const worker = { renew: () => undefined }
  const pipe = createPipe<Pick<WorkerQuestions, 'renew'>, PrimaryQuestions>(carry(0), worker, fail)
  return { pipe, asked }
}

function fail(error: unknown): void {
  throw error
}

test.each([
  ['whole', ['admit', 'complete', 'receiptStored']],
  ['stream', ['admit', 'release', 'complete', 'receiptStored']],
] as const)(
  'a metered %s answer asks the primary no more than what it must know',
  async (form, names) => {
    const { desk, ends } = setUp({ metered: true, releases: 'free-whole' })
    const { pipe, asked } = connect(desk)
    const { bodyDigest, ...others } = call(1)
    const { scheme, payerLimits } = createRemotePayment(pipe, false)
    const request = { ...others, bodyDigest: () => bodyDigest }
    const admission = await scheme.admit(request)
    if (admission.kind !== 'admitted') throw new Error('refused')
    const { payment } = admission
    expect(await payment.release(form)).toEqual({ kind: 'released', headers: {} })
    await payment.complete('used', 7n)
    payment.metered?.receiptStored()
    payerLimits.leave(request.receiptId)
    await turn()
    expect(asked).toEqual(names)
    expect(ends).toEqual([['used', 7n]])
    // Its place is free, and so is that of a call that was refused.
    const [second, third] = [call(2), call(3)].map(({ bodyDigest: digest, ...rest }) => ({
      ...rest,
      bodyDigest: () => digest,
    }))
    if (second === undefined || third === undefined) throw new Error('no calls')
    expect((await scheme.admit(second)).kind).toBe('admitted')
    expect((await scheme.admit(third)).kind).toBe('refused')
    payerLimits.leave(third.receiptId)
    await turn()
    expect(asked.slice(names.length)).toEqual(['admit', 'admit'])
  },
)
