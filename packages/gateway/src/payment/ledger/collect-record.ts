/** What collecting remembers over a start: the gas of a day, and since when something lies at a payee (spec/payment.md PA31). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { accept, refuse, type Step } from './step.ts'

/** An event of collecting. */
export type CollectEvent =
  /** All that transactions of this day (days since the epoch) may have taken. */
  | { readonly type: 'collect-gas'; readonly day: number; readonly gasUnits: bigint }
  | { readonly type: 'uncollected'; readonly payee: Hex; readonly sinceMs: number }
  | { readonly type: 'collected'; readonly payee: Hex }

/** The records. */
export type CollectRecords = {
  /** Of the latest day only. */
  readonly collectGas: ReadonlyMap<number, bigint>
  readonly uncollected: ReadonlyMap<Hex, number>
}

/** Owned by the ledger. */
export type CollectMaps = {
  readonly collectGas: Map<number, bigint>
  readonly uncollected: Map<Hex, number>
}

/** Applies an event, or refuses it and changes nothing: no earlier day is opened again. */
export function applyCollect(
  { collectGas, uncollected }: CollectMaps,
  event: CollectEvent,
): Step<undefined> {
  switch (event.type) {
    case 'collect-gas': {
      const { day, gasUnits } = event
      for (const known of collectGas.keys()) if (known > day) return refuse('day-over')
      collectGas.clear()
      collectGas.set(day, gasUnits)
      return accept(undefined)
    }
    case 'uncollected':
      uncollected.set(event.payee, event.sinceMs)
      return accept(undefined)
    case 'collected':
      uncollected.delete(event.payee)
      return accept(undefined)
  }
}

/** The records as events. */
export function dumpCollect({ collectGas, uncollected }: CollectMaps): readonly CollectEvent[] {
  return [
    ...Array.from(
      collectGas,
      ([day, gasUnits]) => ({ type: 'collect-gas', day, gasUnits }) as const,
    ),
    ...Array.from(
      uncollected,
      ([payee, sinceMs]) => ({ type: 'uncollected', payee, sinceMs }) as const,
    ),
  ]
}
