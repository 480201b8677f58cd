/** What the primary tells all workers of the whole gateway. */
import { nameChargeKeys } from '../payment/charge-key/charge-keys.ts'
import type { Primary } from './primary-state.ts'

/** Ready are all or none. */
export function tellReadiness({ parts, options }: Primary): void {
  const serving = parts.serving()
  const isReady = serving.length === options.first.config.workers
  const isSelling = parts.commons.payment.isSelling()
  const collecting = parts.commons.payment.collecting?.state()
  for (const { pipe } of serving) pipe.tell('ready', { isReady, isSelling, collecting })
}

/**
 * Keysets name the key that signs (spec/payment.md PA28.5): when another one does, the next ones are opened. `named`: what
 * was read before the first was opened.
 */
export function announceKeys(primary: Primary, named: string): void {
  const { commons, serving } = primary.parts
  const { chargeKeys, collecting } = commons.payment
  // Owned here: what all current keysets name.
  let known = named
  const renew = (): void => {
    const names = nameChargeKeys(commons.payment)
    if (names === known) return
    known = names
    for (const { pipe } of serving()) pipe.tell('renew', null)
  }
  chargeKeys?.listen(() => {
    tellReadiness(primary)
    renew()
  })
  collecting?.listen(() => {
    tellReadiness(primary)
  })
  // What changed while the workers started.
  renew()
}
