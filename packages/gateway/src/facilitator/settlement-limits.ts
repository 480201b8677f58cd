/** What settlements may cost, and how many may be on their way (spec/payment.md PA27.9). */
import type { Client } from './clients.ts'
import type { FacilitatorConfig } from './facilitator-config.ts'
import { FacilitatorRefusal } from './refusal.ts'
import type { SettlementBook } from './settlement-book.ts'

/** A payer whose settlements fail on chain costs gas each time: its account may have code that tells a trial from a block. */
const maxRevertedPerDay = 3
const dayMs = 86_400_000
const soonSeconds = 5

/** A charge of 0 takes none, but a row for ever: it counts as so much. */
export const gasOfFree = 10_000n

/** Bounds of the configuration. */
export type SettlementLimits = FacilitatorConfig['limits']

/** @throws FacilitatorRefusal with status 429 or 503; nothing was written. */
export function checkLimits(
  book: SettlementBook,
  limits: SettlementLimits,
  client: Client,
  settlement: { readonly gas: bigint; readonly payer: string },
  nowMs: number,
): void {
  const isFull =
    book.countPending(client.name) >= limits.pendingSettlements ||
    book.countPending(undefined) >= limits.totalPendingSettlements
  if (isFull) {
    throw new FacilitatorRefusal(
      'countersign_too_many_pending',
      'Too many settlements are not on chain yet.',
      { status: 503, retryAfterSeconds: soonSeconds },
    )
  }
  checkGas(book, limits, client, settlement.gas, nowMs)
  if (settlement.payer !== '' && book.countReverted(settlement.payer, nowMs) >= maxRevertedPerDay) {
    throw new FacilitatorRefusal(
      'countersign_payer_reverted',
      'Settlements of this payer failed on chain today.',
    )
  }
}

/** @throws FacilitatorRefusal with status 429 when the day has not so much left. */
export function checkGas(
  book: SettlementBook,
  limits: SettlementLimits,
  client: Client,
  gas: bigint,
  nowMs: number,
): void {
  const isSpent =
    book.gasOfDay(nowMs, client.name) + gas > client.gasPerDay ||
    book.gasOfDay(nowMs, undefined) + gas > BigInt(limits.totalGasPerDay)
  if (isSpent) {
    throw new FacilitatorRefusal(
      'countersign_gas_budget_exhausted',
      'The gas of this day is used up.',
      { status: 429, retryAfterSeconds: Math.ceil((dayMs - (nowMs % dayMs)) / 1000) },
    )
  }
}
