/** The keysets name the key that signs: when another one does, the next ones are opened (spec/payment.md PA28.5). */
import type { Logger } from 'pino'
import { createAnnouncer, type Announcer } from './announcer.ts'
import type { ChargeKeys } from './charge-keys.ts'
import type { Place } from './key-owner.ts'

/** Follows the keys from now on, in the place of whoever did before; `undefined` without charge keys. */
export function followKeys(
  chargeKeys: ChargeKeys | undefined,
  log: Logger,
  given: {
    /** Has a place open its next keyset, and resolves when that is the current one. */
    readonly renew: (place: Place) => Promise<void>
    /** Another key signs, or something is sold that was not, or no more. */
    readonly onNews: () => void
  },
): Announcer | undefined {
  if (chargeKeys === undefined) return undefined
  const announcer = createAnnouncer(chargeKeys, given.renew, (error) => {
    log.error({ err: error }, 'the keyset of another charge key could not be opened')
  })
  chargeKeys.listen((isNews) => {
    if (isNews) {
      log.info({ keys: chargeKeys.report(), isSelling: chargeKeys.isGood() }, 'charge keys')
      given.onNews()
    }
    announcer.check()
  })
  // What has changed while nobody listened.
  announcer.check()
  return announcer
}
