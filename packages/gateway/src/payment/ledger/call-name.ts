/** Names of calls: under one of them a payer is charged once (spec/payment.md PA4.8). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { accept, refuse, type Step } from './step.ts'

/** The call of a name. */
export type NamedCall = {
  /** Of payer and name, 32 hex digits. */
  readonly name: string
  /** 32 hex digits: the receipt id. */
  readonly callId: string
  readonly requestHash: Hex
  /** When it was admitted. */
  readonly atMs: number
  readonly state: 'running' | 'used'
}

/** An event of names; the end of a call ends its name, too. */
export type NameEvent =
  | {
      readonly type: 'name-taken'
      readonly name: string
      readonly callId: string
      readonly requestHash: Hex
      readonly atMs: number
    }
  /** Names of calls that were admitted before, and have ended. */
  | { readonly type: 'names-forgotten'; readonly beforeMs: number }

/** The names, oldest first, and those of running calls by their call. Owned by the ledger. */
export type CallNames = {
  readonly calls: Map<string, NamedCall>
  readonly running: Map<string, string>
}

/** No names. */
export function createCallNames(): CallNames {
  return { calls: new Map(), running: new Map() }
}

/** Applies an event, or refuses it and changes nothing. */
export function applyName(names: CallNames, event: NameEvent): Step<undefined> {
  if (event.type === 'names-forgotten') return forget(names, event.beforeMs)
  const { name, callId, requestHash, atMs } = event
  if (names.calls.get(name)?.state === 'running') return refuse('call-exists')
  restoreName(names, { name, callId, requestHash, atMs, state: 'running' })
  return accept(undefined)
}

/** Puts a record in the place of the one of its name. */
export function restoreName({ calls, running }: CallNames, call: NamedCall): void {
  // The latest stand last.
  calls.delete(call.name)
  calls.set(call.name, call)
  if (call.state === 'running') running.set(call.callId, call.name)
}

/** A call has ended: one that was not used gives its name back. */
export function endName({ calls, running }: CallNames, callId: string, isUsed: boolean): void {
  const name = running.get(callId)
  const call = name === undefined ? undefined : calls.get(name)
  if (name === undefined || call === undefined) return
  running.delete(callId)
  if (isUsed) calls.set(name, { ...call, state: 'used' })
  else calls.delete(name)
}

function forget({ calls }: CallNames, beforeMs: number): Step<undefined> {
  for (const [name, { atMs, state }] of calls) {
    if (atMs >= beforeMs) break
    if (state === 'used') calls.delete(name)
  }
  return accept(undefined)
}
