/** What the primary tells all workers of the whole gateway. */
import type { Announcer } from '../payment/charge-key/announcer.ts'
import { followKeys } from '../payment/charge-key/follow-keys.ts'
import { renewKeyset } from './member.ts'
import type { Primary } from './primary-state.ts'

/** Ready are all or none. */
export function tellReadiness({ parts, options }: Primary): void {
  const serving = parts.serving()
  const isReady = serving.length === options.first.config.workers
  const isSelling = parts.commons.payment.isSelling()
  const collecting = parts.commons.payment.collecting?.state()
  for (const { pipe } of serving) pipe.tell('ready', { isReady, isSelling, collecting })
}

/** The charge keys of all workers. */
export function followSharedKeys(primary: Primary): Announcer | undefined {
  const { commons, serving } = primary.parts
  commons.payment.collecting?.listen(() => {
    tellReadiness(primary)
  })
  return followKeys(commons.payment.chargeKeys, primary.options.log, {
    renew: async (place) => {
      // Who only starts is looked at again when it serves.
      const member = serving().find((each) => each === place)
      if (member !== undefined) await renewKeyset(member)
    },
    onNews: () => {
      tellReadiness(primary)
    },
  })
}
