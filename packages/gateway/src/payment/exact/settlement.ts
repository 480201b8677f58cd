/** Brings payments on chain: one settlement for each payment, ever (spec/payment.md PA9). */
import type { Address, Hex } from 'viem'
import { ChainUnreachable, isPaidBy, type Chain } from './chain.ts'
import type { Ledger, PaymentRecord } from './ledger.ts'
import type { PaymentKey } from './payment-key.ts'
import type { Terms } from './offer.ts'
import { pause } from './pause.ts'
import type { Sender } from './sender.ts'
import { settleOnce } from './settle-once.ts'

/**
 * How a settlement ended. `not-sent`: nothing was broadcast, the same payment may be settled later. `failed`: it can
 * never be. `unknown`: the process is closing, or its own database failed.
 */
export type Outcome =
  | { readonly kind: 'confirmed'; readonly transaction: Hex }
  | { readonly kind: 'failed' | 'not-sent' | 'unknown'; readonly reason: string }

/**
 * What the chain says of an authorization. `unclear`: it is used, but the node does not show yet by what. `shallow`: by a
 * payment to us that has not the configured depth.
 */
export type Elsewhere =
  | { readonly kind: 'known'; readonly outcome: Outcome }
  | { readonly kind: 'unused' | 'unclear' | 'shallow' }

/** Owns all settlements under way. */
export type Settler = {
  /**
   * Begins the settlement of a payment, or joins the one under way. `persist`: its answer was released already, so
   * try again until the authorization expires. Never rejects.
   */
  settle(record: PaymentRecord, persist: boolean): Promise<Outcome>
  isUnderWay(key: PaymentKey): boolean
  /** What this payer has promised in settlements under way. */
  pendingAtomic(payer: Address): bigint
  /** Resolves when one of them has ended. */
  nextOutcome(payer: Address): Promise<unknown>
  /** Looks on chain for a settlement that somebody else sent. */
  findElsewhere(record: PaymentRecord): Promise<Elsewhere>
  /** Waits until everything under way has stopped; abort the signal first. */
  stopped(): Promise<void>
}

type Options = {
  readonly terms: Terms
  readonly chain: Chain
  readonly ledger: Ledger
  readonly sender: Sender
  readonly senderAddress: Address
  readonly confirmations: number
  readonly clock: () => number
  readonly signal: AbortSignal
  readonly onFault: (error: unknown) => void
}

type UnderWay = { readonly record: PaymentRecord; readonly outcome: Promise<Outcome> }

/** While a transaction is not on chain it is looked after in this interval, new blocks or not. */
const lookMs = 500
const repairEvery = 4
const againAfterMs = 1000

/** A settler that has nothing under way. */
export function createSettler(options: Options): Settler {
  const underWay = new Map<string, UnderWay>()
  const ofPayer = (payer: Address): UnderWay[] =>
    [...underWay.values()].filter(({ record }) => record.authorization.from === payer)
  return {
    settle: (record, persist) => {
      const key = keyOf(record)
      const running = underWay.get(placeOf(key))
      if (running !== undefined) return running.outcome
      const outcome = supervise(options, record, persist).finally(() => {
        underWay.delete(placeOf(key))
      })
      underWay.set(placeOf(key), { record, outcome })
      return outcome
    },
    isUnderWay: (key) => underWay.has(placeOf(key)),
    pendingAtomic: (payer) =>
      ofPayer(payer).reduce((sum, { record }) => sum + record.authorization.valueAtomic, 0n),
    nextOutcome: (payer) => Promise.race(ofPayer(payer).map(({ outcome }) => outcome)),
    findElsewhere: (record) => findElsewhere(options, record),
    stopped: async () => {
      await Promise.all([...underWay.values()].map(({ outcome }) => outcome))
    },
  }
}

/** The key of a record. */
export function keyOf({ authorization }: Pick<PaymentRecord, 'authorization'>): PaymentKey {
  return { payer: authorization.from, nonce: authorization.nonce }
}

function placeOf({ payer, nonce }: PaymentKey): string {
  return `${payer}:${nonce}`
}

async function supervise(
  options: Options,
  record: PaymentRecord,
  persist: boolean,
): Promise<Outcome> {
  try {
    for (;;) {
      const outcome = await attempt(options, record)
      if (outcome.kind !== 'not-sent' || !persist) return outcome
      if (hasExpired(record, options.clock())) {
        return fail(options, record, outcome.reason)
      }
      await pause(againAfterMs, options.signal)
    }
  } catch (error) {
    if (options.signal.aborted) return { kind: 'unknown', reason: 'the gateway is closing' }
    options.onFault(error)
    return { kind: 'unknown', reason: 'the ledger failed' }
  }
}

async function attempt(options: Options, record: PaymentRecord): Promise<Outcome> {
  const { ledger, terms } = options
  let state = ledger.find(keyOf(record)) ?? record
  if (state.settlement === 'confirmed' && state.transaction !== undefined) {
    return { kind: 'confirmed', transaction: state.transaction }
  }
  let reason = 'settlement was interrupted'
  if (state.settlement === 'none') {
    const answer = await settleOnce(journaling(options, record), record)
    if (answer.kind === 'open') ({ reason } = answer)
    else if (isPaidBy(terms, record.authorization, answer.receipt)) {
      return confirm(options, record, answer.receipt.transactionHash)
    }
    state = ledger.find(keyOf(record)) ?? record
  }
  if (state.settlement === 'broadcast' && state.transaction !== undefined) {
    return follow(options, state, state.transaction)
  }
  try {
    const elsewhere = await findDeepEnough(options, record)
    return elsewhere.kind === 'known' ? elsewhere.outcome : { kind: 'not-sent', reason }
  } catch (error) {
    if (!(error instanceof ChainUnreachable)) throw error
    return { kind: 'not-sent', reason: 'the chain does not answer' }
  }
}

/** Waits while a settlement by somebody else is on its way down. */
async function findDeepEnough(options: Options, record: PaymentRecord): Promise<Elsewhere> {
  for (;;) {
    const elsewhere = await findElsewhere(options, record)
    if (elsewhere.kind !== 'shallow') return elsewhere
    await options.chain.nextBlock(lookMs)
    options.signal.throwIfAborted()
  }
}

/** Until our transaction is on chain, whatever it says there. A crash here is followed up by the next process. */
async function follow(options: Options, record: PaymentRecord, hash: Hex): Promise<Outcome> {
  const { chain, terms, sender, confirmations, signal } = options
  for (let round = 0; ; round++) {
    try {
      const receipt = await chain.findReceipt(hash, confirmations)
      if (receipt !== undefined) {
        if (isPaidBy(terms, record.authorization, receipt)) return confirm(options, record, hash)
        const elsewhere = await findElsewhere(options, record)
        if (elsewhere.kind === 'known') return elsewhere.outcome
        if (elsewhere.kind === 'unused') return fail(options, record, 'the token refused it')
      } else if (round % repairEvery === 0) {
        if (await sender.isReplaced(hash)) {
          // By a dearer one of ours, perhaps, or by that of an observer.
          const elsewhere = await findDeepEnough(options, record)
          if (elsewhere.kind === 'known') return elsewhere.outcome
          options.ledger.forgetBroadcast(keyOf(record), hash)
          return { kind: 'not-sent', reason: 'the transaction was replaced' }
        }
        await sender.repair()
      }
    } catch (error) {
      if (!(error instanceof ChainUnreachable)) throw error
    }
    signal.throwIfAborted()
    await chain.nextBlock(lookMs)
  }
}

/** F2, F7: when somebody else sent the authorization, we were paid all the same. */
async function findElsewhere(options: Options, record: PaymentRecord): Promise<Elsewhere> {
  const { chain } = options
  if (!(await chain.isNonceUsed(record.authorization))) return { kind: 'unused' }
  const found = await chain.findUse(record.authorization, record.reservedBlock)
  if (found.kind === 'none') return { kind: 'unclear' }
  if (found.kind === 'payment') {
    const receipt = await chain.findReceipt(found.transaction, options.confirmations)
    if (receipt === undefined) return { kind: 'shallow' }
    return { kind: 'known', outcome: confirm(options, record, found.transaction) }
  }
  const outcome = fail(options, record, 'the authorization was cancelled or used otherwise')
  return { kind: 'known', outcome }
}

function confirm(options: Options, record: PaymentRecord, transaction: Hex): Outcome {
  options.ledger.confirm(keyOf(record), transaction, options.clock())
  return { kind: 'confirmed', transaction }
}

function fail(options: Options, record: PaymentRecord, reason: string): Outcome {
  const state = options.ledger.find(keyOf(record))
  if (state?.settlement !== 'failed') options.ledger.fail(keyOf(record), options.clock())
  return { kind: 'failed', reason }
}

function journaling(options: Options, record: PaymentRecord): Parameters<typeof settleOnce>[0] {
  const { ledger } = options
  return {
    ...options,
    // After a crash here recovery sends the same bytes again.
    journal: (signed) => {
      ledger.recordBroadcast(keyOf(record), signed)
    },
    forget: (signed) => {
      ledger.forgetBroadcast(keyOf(record), signed.hash)
    },
  }
}

function hasExpired({ authorization }: PaymentRecord, nowMs: number): boolean {
  return authorization.validBeforeSeconds * 1000n <= BigInt(Math.floor(nowMs))
}
