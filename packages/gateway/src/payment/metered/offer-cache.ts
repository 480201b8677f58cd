/** Offers that were made before: most calls of a gateway are for few models and few ceilings. */
import type { PaymentRequirements } from '@x402/core/types'
import { encodeOffers } from '../exact/offer.ts'
import {
  createMeteredOffers,
  toAccepts,
  type MeteredOffers,
  type MeteredTermsSet,
} from './metered-offers.ts'

/** The offers for one path and ceiling. The same call gets the same objects while they are kept. */
export type CallOffers = MeteredOffers & {
  readonly exact: PaymentRequirements | undefined
  /** PAYMENT-REQUIRED without a correction; `error` is one of our own texts, of which there are few. */
  quote(error: string): Readonly<Record<string, string>>
}

/** Finds or makes offers. `isFixed`: the call can be paid by `exact`, too. */
export type OfferCache = (path: string, amountAtomic: bigint, isFixed: boolean) => CallOffers

/** A few kB each, most with one quote. Paths are chosen by callers, in part: they must not fill the memory. */
const maxKept = 1024

/** A cache of offers under these terms. */
export function createOfferCache(
  terms: MeteredTermsSet,
  offerExact: ((path: string, amountAtomic: bigint) => PaymentRequirements) | undefined,
): OfferCache {
  // Owned by the returned function.
  const kept = new Map<string, CallOffers>()
  return (path, amountAtomic, isFixed) => {
    const key = `${isFixed ? 'fixed' : 'metered'} ${amountAtomic} ${path}`
    const known = kept.get(key)
    if (known !== undefined) return known
    const offers = createMeteredOffers(terms, path, amountAtomic)
    const exact = isFixed ? offerExact?.(path, amountAtomic) : undefined
    // Owned by `quote`.
    const quotes = new Map<string, Readonly<Record<string, string>>>()
    const made: CallOffers = {
      ...offers,
      exact,
      quote: (error) => {
        const before = quotes.get(error)
        if (before !== undefined) return before
        const accepts = [...toAccepts(offers), ...(exact === undefined ? [] : [exact])]
        const quote = encodeOffers(offers.resourceUrl, accepts, error)
        quotes.set(error, quote)
        return quote
      },
    }
    if (kept.size >= maxKept) kept.clear()
    kept.set(key, made)
    return made
  }
}
