/** Has keysets opened until every place that shows one names the charge keys of now (spec/payment.md PA28.5, PA28.7). */
import type { ChargeKeys } from './charge-keys.ts'
import type { Place } from './key-owner.ts'

/** Owner of the openings under way. */
export type Announcer = {
  /** Opens what is missing. */
  check(): void
  /** Resolves when nothing is being opened; what could not be is told and tried again later. */
  settled(): Promise<void>
}

/** `renew` has a place open its next keyset, and resolves when that is the current one. */
export function createAnnouncer(
  chargeKeys: Pick<ChargeKeys, 'behind' | 'named'>,
  renew: (place: Place) => Promise<void>,
  onFault: (error: unknown) => void,
): Announcer {
  // Owned here: one opening at a time for each place.
  const running = new Map<Place, Promise<void>>()

  async function bring(place: Place): Promise<void> {
    const names = JSON.stringify(chargeKeys.named())
    try {
      await renew(place)
    } catch (error) {
      onFault(error)
      return
    } finally {
      running.delete(place)
    }
    // What changed meanwhile; a place that stays behind for another reason is not asked for ever.
    if (JSON.stringify(chargeKeys.named()) !== names) check()
  }

  function check(): void {
    for (const place of chargeKeys.behind()) {
      if (running.has(place)) continue
      running.set(
        place,
        Promise.resolve().then(() => bring(place)),
      )
    }
  }

  return {
    check,
    settled: async () => {
      while (running.size > 0) await Promise.all(running.values())
    },
  }
}
