/** What the primary tells all workers of the whole gateway. */
import type { Primary } from './primary-state.ts'

/** Ready are all or none. */
export function tellReadiness({ parts, options }: Primary): void {
  const serving = parts.serving()
  const isReady = serving.length === options.first.config.workers
  const isSelling = parts.commons.payment.isSelling()
  for (const { pipe } of serving) pipe.tell('ready', { isReady, isSelling })
}

/** Keysets name the key that signs (spec/payment.md PA28.5). */
export function announceKeys(primary: Primary): void {
  const { commons, serving } = primary.parts
  commons.payment.chargeKeys?.listen(() => {
    tellReadiness(primary)
    for (const { pipe } of serving()) pipe.tell('renew', null)
  })
}
