/** What the steps of the scheme share. */
import type { AuthorizationCheck } from './authorization-signature.ts'
import type { Chain } from './chain.ts'
import type { NamedEntry } from '../call-names.ts'
import type { ExactNames } from './exact-names.ts'
import type { ReadBudget } from '../../limits/read-budget.ts'
import type { Ledger } from './ledger.ts'
import type { Terms } from './offer.ts'
import type { PayerTurns } from './payer-turns.ts'
import type { Settler } from './settlement.ts'

/**
 * When an answer may leave. `before`: its payment is confirmed. `after`: at once, while the sum of what this payer
 * got without confirmation stays within the bound; else as `before`.
 */
export type SettleRule =
  | { readonly kind: 'before' }
  | { readonly kind: 'after'; readonly maxAtRiskAtomic: bigint }

/** One scheme while it runs. */
export type ExactContext = {
  readonly terms: Terms
  readonly isSignedByPayer: AuthorizationCheck
  readonly chain: Chain
  readonly ledger: Ledger
  readonly settler: Settler
  readonly turns: PayerTurns
  /** Names that our payments have taken, and how those of metered calls stand. */
  readonly names: ExactNames
  readonly meteredNames: ((digest: string) => NamedEntry | undefined) | undefined
  /** Payments whose nonce was used for something else, and until when they are not looked for; owned by the admission. */
  readonly notOurs: Map<string, number>
  /** How often the chain is asked for payers who have shown no money (PA30); without it, always. */
  readonly reads: ReadBudget | undefined
  readonly confirmations: number
  readonly settle: SettleRule
  readonly settlementTimeoutMs: number
  readonly clock: () => number
  readonly signal: AbortSignal
  readonly onFault: (error: unknown) => void
}
