/** What the primary tells all workers of the whole gateway. */
import type { PrimaryParts } from './primary-answers.ts'

/** Ready are all or none. */
export function tellReadiness({ serving, commons }: PrimaryParts, workers: number): void {
  const members = serving()
  const isReady = members.length === workers
  const isSelling = commons.payment.isSelling()
  for (const { pipe } of members) pipe.tell('ready', { isReady, isSelling })
}

/** Keysets name the key that signs (spec/payment.md PA28.5). */
export function announceKeys(parts: PrimaryParts, workers: number): void {
  parts.commons.payment.chargeKeys?.listen(() => {
    tellReadiness(parts, workers)
    for (const { pipe } of parts.serving()) pipe.tell('renew', null)
  })
}
