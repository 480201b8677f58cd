/** The names that payers of metered calls give them (spec/payment.md PA4). */
import { hash } from 'node:crypto'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { PaymentExtensions } from '@countersign/protocol/payment/payment-extensions'
import type { AdmissionRequest } from '../admission.ts'
import { applyOwn } from '../channel/channel-context.ts'
import { readIdempotencyKey } from '../idempotency-key.ts'
import type { NamedCall } from '../ledger/call-name.ts'
import type { DurableLedger } from '../ledger/durable-ledger.ts'

/** A name as a caller gave it, without its payer. */
export type CallName = string | undefined

/** What an earlier call of the same name means for this one. */
export type NamedBefore = { readonly kind: 'new' } | NamedElsewhere

/** Another call has the name. */
export type NamedElsewhere =
  | { readonly kind: 'replay'; readonly receiptId: string }
  | {
      readonly kind: 'named'
      readonly code: 'idempotency-key-reused' | 'idempotency-key-in-progress'
    }

/** A call that has a name, perhaps. */
export type NamedRequest = {
  readonly name?: CallName
  readonly callId: string
  readonly requestHash: Hex
}

// Longer than answers are kept: a name must not be charged twice while somebody may still try it again.
const rememberMs = 86_400_000
// Some 300 bytes each. When there are more, the oldest go first.
const maxNames = 262_144
const forgetEveryMs = 1000

/** PA4.1: the identifier inside the payment, else the header, whose form was judged before. */
export function readCallName(
  { identifier }: Pick<PaymentExtensions, 'identifier'>,
  headers: AdmissionRequest['headers'],
): CallName {
  if (identifier.kind === 'given') return `payment:${identifier.id}`
  const header = readIdempotencyKey(headers)
  return header.kind === 'given' ? `header:${header.key}` : undefined
}

/** Whether something is known of this name: then its payer must be certain before anything is said about it. */
export function isNameKnown({ state }: DurableLedger, payer: Hex, { name }: NamedRequest): boolean {
  return name !== undefined && state.names.has(digestOf(payer, name))
}

/** Looks a name up. Only for whoever proved to be the payer. */
export function findNamed(
  { state }: DurableLedger,
  payer: Hex,
  { name, requestHash }: NamedRequest,
  nowMs: number,
): NamedBefore {
  const earlier = name === undefined ? undefined : state.names.get(digestOf(payer, name))
  if (earlier === undefined) return { kind: 'new' }
  const isOver = earlier.state === 'used' && earlier.atMs + rememberMs <= nowMs
  if (isOver) return { kind: 'new' }
  if (earlier.requestHash !== requestHash) return { kind: 'named', code: 'idempotency-key-reused' }
  if (earlier.state === 'running') return { kind: 'named', code: 'idempotency-key-in-progress' }
  return { kind: 'replay', receiptId: earlier.callId }
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
  if (oldest !== undefined && (isFull || oldest.atMs + rememberMs + forgetEveryMs <= atMs)) {
    const beforeMs = isFull ? oldest.atMs + forgetEveryMs : atMs - rememberMs
    applyOwn(ledger, { type: 'names-forgotten', beforeMs })
  }
  applyOwn(ledger, {
    type: 'name-taken',
    name: digestOf(payer, name),
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
