/**
 * The primary's side of the payments of one worker: it holds what is reserved, and ends it when the worker cannot. The
 * worker names a payment by the id of its call.
 */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { Charge } from '@countersign/protocol/receipt/charge'
import type { PayerLimits } from '../limits/payer-limits.ts'
import type { AdmittedPayment, CallResult, PaymentScheme, Release } from '../payment/admission.ts'
import type { Answers } from './pipe.ts'
import type { AdmissionAnswer, CallToAdmit, PrimaryQuestions } from './questions.ts'

type DeskQuestions = Pick<
  PrimaryQuestions,
  'admit' | 'release' | 'complete' | 'progress' | 'receiptStored' | 'leave'
>

/** Owner of the payments of one worker. */
export type PaymentDesk = {
  readonly answers: Answers<DeskQuestions>
  /**
   * The worker is gone: ends what it had begun as a start after a crash would (PA12, PA20.4), and resolves when that is
   * done, with the ids of calls whose receipts may be owed.
   */
  abandon(): Promise<ReadonlySet<string>>
}

/** A payment between its admission and the receipt of its call. */
type Held = {
  readonly payment: AdmittedPayment
  released: 'no' | 'whole' | 'stream'
  releasing: Promise<Release> | undefined
  provenAtomic: bigint
  ending: Promise<Charge> | undefined
}

type Place = { readonly limits: PayerLimits; readonly id: Uint8Array }

/**
 * A desk for a worker that has nothing reserved. `limits` gives those that hold now; `agreed` resolves when all workers
 * ask the same prices.
 */
export function createPaymentDesk(
  scheme: PaymentScheme,
  limits: () => PayerLimits,
  agreed: () => Promise<void>,
): PaymentDesk {
  // All owned here.
  const held = new Map<string, Held>()
  const places = new Map<string, Place>()
  const admitting = new Set<Promise<unknown>>()
  let isAbandoned = false

  async function admit(call: CallToAdmit): Promise<AdmissionAnswer> {
    const callId = toHex(call.receiptId)
    const place = { limits: limits(), id: call.receiptId }
    places.set(callId, place)
    const { bodyDigest, callerNetwork } = call
    const admission = await scheme.admit({
      ...call,
      bodyDigest: () => bodyDigest,
      caller: () => callerNetwork,
      limits: place.limits,
    })
    if (admission.kind === 'refused') {
      leave(callId)
      // A refusal says the price: it must be that of the worker which the caller comes to next.
      await agreed()
    }
    if (admission.kind !== 'admitted') return admission
    const { payment } = admission
    const { payer, metered, releases, fixedAtomic } = payment
    const entry = createHeld(payment)
    held.set(callId, entry)
    if (isAbandoned) await end(entry, 'unused')
    return { kind: 'admitted', payer, isMetered: metered !== null, releases, fixedAtomic }
  }

  function leave(callId: string): void {
    const place = places.get(callId)
    place?.limits.leave(place.id)
    places.delete(callId)
  }

  const payments = createPaymentAnswers(held)
  return {
    answers: {
      ...payments,
      // Its caller may call again, by another worker, before this one says that the call has ended.
      complete: async (question) => {
        const ended = await payments.complete(question)
        leave(question.callId)
        return ended
      },
      admit: (call) => {
        const admission = admit(call)
        const settled = admission.catch(() => undefined)
        admitting.add(settled)
        return admission.finally(() => admitting.delete(settled))
      },
      leave,
    },
    abandon: async () => {
      isAbandoned = true
      await Promise.all(admitting)
      await Promise.allSettled(Array.from(held.values(), endAbandoned))
      for (const callId of places.keys()) leave(callId)
      const owed = new Set(held.keys())
      held.clear()
      return owed
    },
  }
}

function createHeld(payment: AdmittedPayment): Held {
  const nothing = { releasing: undefined, provenAtomic: 0n, ending: undefined }
  return { payment, released: 'no', ...nothing }
}

/** What a worker does with payments that it holds. */
function createPaymentAnswers(
  held: Map<string, Held>,
): Answers<Omit<DeskQuestions, 'admit' | 'leave'>> {
  function find(callId: string): Held {
    const entry = held.get(callId)
    if (entry === undefined) throw new Error('a worker named a payment that it does not hold')
    return entry
  }

  return {
    release: ({ callId, form }) => {
      const entry = find(callId)
      entry.released = form
      entry.releasing ??= entry.payment.release(form)
      return entry.releasing
    },
    complete: async ({ callId, result, usedAtomic }) => {
      const entry = find(callId)
      const charge = await end(entry, result, usedAtomic)
      // The receipt of a metered charge is owed until it is stored.
      if (entry.payment.metered === null || result === 'unused') held.delete(callId)
      return { charge, headers: entry.payment.metered?.headers() ?? {} }
    },
    progress: ({ callId, provenAtomic }) => {
      const entry = held.get(callId)
      if (entry === undefined) return
      if (provenAtomic > entry.provenAtomic) entry.provenAtomic = provenAtomic
      entry.payment.metered?.progress(provenAtomic)
    },
    receiptStored: (callId) => {
      held.get(callId)?.payment.metered?.receiptStored()
      held.delete(callId)
    },
  }
}

/** Ends it once; who asks again gets the same charge. */
function end(entry: Held, result: CallResult, usedAtomic?: bigint): Promise<Charge> {
  entry.ending ??= entry.payment.complete(result, usedAtomic)
  return entry.ending
}

async function endAbandoned(entry: Held): Promise<void> {
  if (entry.ending === undefined) {
    const release = await entry.releasing
    const isReleased = release?.kind === 'released'
    const { metered, releases } = entry.payment
    if (metered === null) await end(entry, isReleased && releases === 'durable' ? 'used' : 'unused')
    // A whole answer leaves after its charge: nobody has seen a byte of this one.
    else if (!isReleased || entry.released === 'whole') await end(entry, 'unused')
    else await end(entry, 'used', entry.provenAtomic)
  }
  await entry.ending
}
