/** The names that payers give calls which they pay by x402: one book for all schemes (spec/payment.md PA4.8). */
import { hash } from 'node:crypto'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { PaymentExtensions } from '@countersign/protocol/payment/payment-extensions'
import type { AdmissionRequest } from './admission.ts'
import { applyOwn } from './channel/channel-context.ts'
import { readIdempotencyKey } from './idempotency-key.ts'
import { judgeName, type EarlierCall, type NamedElsewhere } from './judge-name.ts'
import type { NamedCall } from './ledger/call-name.ts'
import type { DurableLedger } from './ledger/durable-ledger.ts'

/** A name as a caller gave it; nobody's yet. */
export type CallName =
  | {
      readonly text: string
      /** Stands for the name and its payer in the book: 32 hex digits. */
      digestFor(payer: Hex): string
    }
  | undefined

/** What an earlier call of the same name means for this one. */
export type NamedBefore = { readonly kind: 'new' } | NamedElsewhere

/** A call in the book. */
export type NamedEntry = EarlierCall & { readonly requestHash: Hex }

/** Names that another scheme keeps with its own reservations. */
export type NamesBeside = {
  has(digest: string): boolean
  find(digest: string): NamedEntry | undefined
}

/** A call that has a name, perhaps. */
export type NamedRequest = {
  readonly name?: CallName
  readonly callId: string
  readonly requestHash: Hex
  /** The names of `exact`, where it is configured. */
  readonly beside?: NamesBeside | undefined
}

// Longer than answers are kept: a name must not be charged twice while somebody may still try it again.
/** How long a used name is remembered (PA4.8). */
export const rememberNamesMs = 86_400_000
// Some 300 bytes each. When there are more, the oldest go first.
/** Names of one kind. */
export const maxNames = 262_144
const forgetEveryMs = 1000

/** PA4.1: the identifier inside the payment, else the header, whose form was judged before. */
export function readCallName(
  { identifier }: Pick<PaymentExtensions, 'identifier'>,
  headers: AdmissionRequest['headers'],
): CallName {
  if (identifier.kind === 'given') return createCallName(`payment:${identifier.id}`)
  const header = readIdempotencyKey(headers)
  return header.kind === 'given' ? createCallName(`header:${header.key}`) : undefined
}

/** A name; its digest is made once for the payer that it is asked for. */
export function createCallName(text: string): Exclude<CallName, undefined> {
  // Owned by `digestFor`.
  let known: { readonly payer: Hex; readonly digest: string } | undefined
  return {
    text,
    digestFor: (payer) => {
      known = known?.payer === payer ? known : { payer, digest: digestOf(payer, text) }
      return known.digest
    },
  }
}

/** Whether something is known of this name: then its payer must be certain before anything is said about it. */
export function isNameKnown(
  { state }: DurableLedger,
  payer: Hex,
  { name, beside }: NamedRequest,
): boolean {
  if (name === undefined) return false
  const digest = name.digestFor(payer)
  return state.names.has(digest) || beside?.has(digest) === true
}

/** Looks a name up. Only for whoever proved to be the payer. */
export function findNamed(
  ledger: DurableLedger,
  payer: Hex,
  { name, requestHash, beside }: NamedRequest,
  nowMs: number,
): NamedBefore {
  if (name === undefined) return { kind: 'new' }
  const digest = name.digestFor(payer)
  // What a metered call has taken was free with `exact`, and stays taken when that looks again.
  const earlier = findMetered(ledger, digest, nowMs) ?? beside?.find(digest)
  if (earlier === undefined) return { kind: 'new' }
  return judgeName(earlier, earlier.requestHash === requestHash)
}

/** A name that a metered call has taken, and that is not forgotten. */
export function findMetered(
  { state }: Pick<DurableLedger, 'state'>,
  digest: string,
  nowMs: number,
): NamedEntry | undefined {
  const earlier = state.names.get(digest)
  const isOver = earlier?.state === 'used' && earlier.atMs + rememberNamesMs <= nowMs
  return isOver ? undefined : earlier
}

/** Takes a name that is free. In the same turn as the reservation: both reach the disk together, or neither. */
export function takeName(
  ledger: DurableLedger,
  payer: Hex,
  { name, callId, requestHash }: NamedRequest,
  atMs: number,
): void {
  if (name === undefined) return
  const { names } = ledger.state
  const isFull = names.size >= maxNames
  const oldest = isFull ? findOldestUsed(names) : names.values().next().value
  if (oldest !== undefined && (isFull || oldest.atMs + rememberNamesMs + forgetEveryMs <= atMs)) {
    const beforeMs = isFull ? oldest.atMs + forgetEveryMs : atMs - rememberNamesMs
    applyOwn(ledger, { type: 'names-forgotten', beforeMs })
  }
  applyOwn(ledger, {
    type: 'name-taken',
    name: name.digestFor(payer),
    callId,
    requestHash,
    atMs,
  })
}

/** A call that runs for long must not keep all names behind it. */
function findOldestUsed(names: DurableLedger['state']['names']): NamedCall | undefined {
  for (const call of names.values()) if (call.state === 'used') return call
  return undefined
}

/** The ledger is that of one network and asset. */
function digestOf(payer: Hex, name: string): string {
  return hash('sha256', `${payer}\n${name}`).slice(0, 32)
}
