/** What the primary tells all workers of the whole gateway. */
import { logKeys } from '../create-gateway.ts'
import { createAnnouncer, type Announcer } from '../payment/charge-key/announcer.ts'
import { renewKeyset } from './member.ts'
import type { Primary } from './primary-state.ts'

/** Ready are all or none. */
export function tellReadiness({ parts, options }: Primary): void {
  const serving = parts.serving()
  const isReady = serving.length === options.first.config.workers
  const isSelling = parts.commons.payment.isSelling()
  for (const { pipe } of serving) pipe.tell('ready', { isReady, isSelling })
}

/**
 * Keysets name the key that signs (spec/payment.md PA28.5): when another one does, the workers open their next ones.
 * `undefined` without charge keys.
 */
export function followKeys(primary: Primary): Announcer | undefined {
  const { commons, serving } = primary.parts
  const { log } = primary.options
  const { chargeKeys } = commons.payment
  if (chargeKeys === undefined) return undefined
  const announcer = createAnnouncer(
    chargeKeys,
    async (place) => {
      // Who only starts is looked at again when it serves.
      const member = serving().find((each) => each === place)
      if (member !== undefined) await renewKeyset(member)
    },
    (error) => {
      log.error({ err: error }, 'the keyset of another charge key could not be opened')
    },
  )
  chargeKeys.listen((isNews) => {
    if (isNews) {
      logKeys(chargeKeys, log)
      tellReadiness(primary)
    }
    announcer.check()
  })
  return announcer
}
