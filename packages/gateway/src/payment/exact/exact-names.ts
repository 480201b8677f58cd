/** The names that payments of `exact` have taken, for those who look from other schemes (spec/payment.md PA4.8). */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { Address } from 'viem'
import {
  createCallName,
  maxNames,
  rememberNamesMs,
  type NamedEntry,
  type NamesBeside,
} from '../call-names.ts'
import type { Ledger, PaymentRecord } from './ledger.ts'
import type { PaymentKey } from './payment-key.ts'
import { keyOf, type Settler } from './settlement.ts'

/** Names of the last day, by their digest. How each stands is said by its payment. */
export type ExactNames = NamesBeside & {
  /** A reservation has taken this name; in the turn that made it. */
  note(payer: Address, identifier: string, key: PaymentKey): void
}

type Options = {
  readonly ledger: Pick<Ledger, 'find' | 'identifiedSince'>
  readonly settler: Pick<Settler, 'isUnderWay'>
  readonly clock: () => number
}

/** The names in the ledger. */
export function createExactNames({ ledger, settler, clock }: Options): ExactNames {
  // Oldest first. Owned here.
  const names = new Map<string, { readonly key: PaymentKey; readonly atMs: number }>()

  function note(payer: Address, identifier: string, key: PaymentKey, atMs: number): void {
    const digest = createCallName(identifier).digestFor(`0x${payer.slice(2).toLowerCase()}`)
    names.delete(digest)
    names.set(digest, { key, atMs })
    forget(atMs)
  }

  function forget(nowMs: number): void {
    for (const [digest, { atMs }] of names) {
      if (names.size <= maxNames && atMs + rememberNamesMs > nowMs) return
      names.delete(digest)
    }
  }

  const since = ledger.identifiedSince(clock() - rememberNamesMs, maxNames)
  for (const { key, identifier, atMs } of since) note(key.payer, identifier, key, atMs)
  return {
    note: (payer, identifier, key) => {
      note(payer, identifier, key, clock())
    },
    has: (digest) => names.has(digest),
    find: (digest) => {
      const found = names.get(digest)
      const isOver = found !== undefined && found.atMs + rememberNamesMs <= clock()
      const record = found === undefined || isOver ? undefined : ledger.find(found.key)
      return record === undefined ? undefined : toEntry(record, settler)
    },
  }
}

/** Nothing was taken, and nothing is under way: a name of this payment is free (PA4.4). */
export function isLapsed(record: PaymentRecord, settler: Pick<Settler, 'isUnderWay'>): boolean {
  const { use, settlement } = record
  const isTaken = settlement === 'confirmed' || settlement === 'broadcast'
  return use === 'free' && !isTaken && !settler.isUnderWay(keyOf(record))
}

function toEntry(record: PaymentRecord, settler: Options['settler']): NamedEntry | undefined {
  if (isLapsed(record, settler)) return undefined
  const { receiptId: callId, request, use } = record
  const states = { open: 'running', used: 'used', free: 'credit' } as const
  return { callId, requestHash: `0x${toHex(request)}`, state: states[use] }
}
