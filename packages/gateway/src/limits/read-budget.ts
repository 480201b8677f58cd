/**
 * How often payments make the gateway ask the chain (spec/payment.md PA30). Addresses and signatures cost nothing: who has
 * shown no money yet is counted by where it calls from, and together with all who have not.
 */
import { keepLatest } from './keep-latest.ts'
import type { LimitReached } from './payer-limits.ts'
import { tooMany } from './payer-limits.ts'
import {
  createBucket,
  giveTokens,
  takeTokens,
  waitForTokens,
  type BucketTerms,
  type TokenBucket,
} from './token-bucket.ts'

/** How many payments without money behind them are looked up in a minute. */
export type StrangerLimits = {
  /** Of payers of whom nothing is known, all together. */
  readonly strangersPerMinute: number
  /** Of one caller: an IPv4 address, or 64 bits of IPv6. */
  readonly strangersPerAddress: number
}

/** A payment for which the chain is to be asked. */
export type ChainLook = {
  /** Lower-case hex. */
  readonly payer: string
  /** The network that it was presented from. */
  readonly caller: string
  /** A record of the gateway shows that this payer could pay; else only what was found since the start counts. */
  readonly isKnown?: boolean
  /** Readings as dear as so many ordinary ones; 1 when absent. */
  readonly count?: number
}

/** The chain may be asked; or not now. */
export type ReadPermit =
  | PermittedLook
  | { readonly kind: 'limited'; readonly limited: LimitReached }

/** Exactly one of its methods is called, or none. */
export type PermittedLook = {
  readonly kind: 'permitted'
  /** The chain shows that the payer can pay: then the asking costs nothing, and it is no stranger any more. */
  proven(): void
  /** Another look is taken in its place. */
  giveBack(): void
}

/** Owner of what is known of callers and payers. */
export type ReadBudget = {
  take(look: ChainLook): ReadPermit
  /** Payments since the start, by what became of them; what is proven was permitted before. */
  readonly counts: Readonly<Record<'permitted' | 'proven' | 'refused', number>>
}

type Taking = readonly [TokenBucket, BucketTerms]

// Each takes some 200 bytes.
const maxCallers = 50_000
const maxKnown = 50_000
/** It costs something to become known, and little: what known payers have together is more, and not without end. */
const knownShare = 10

/** A budget that nothing was taken from. */
export function createReadBudget(limits: StrangerLimits, nowMs: () => number): ReadBudget {
  const { strangersPerMinute, strangersPerAddress } = limits
  // All owned here; the maps are in the order of their latest use.
  const strangers = createBucket(strangersPerMinute, nowMs())
  const known = createBucket(strangersPerMinute * knownShare, nowMs())
  const callers = new Map<string, TokenBucket>()
  const payers = new Map<string, true>()
  const counts = { permitted: 0, proven: 0, refused: 0 }

  const own = { perMinute: strangersPerAddress, most: strangersPerAddress }
  const findBucket = (name: string, { most }: BucketTerms): TokenBucket => {
    const bucket = callers.get(name) ?? createBucket(most, nowMs())
    keepLatest(callers, name, bucket, maxCallers)
    return bucket
  }

  const ofStranger = ({ caller, count = 1 }: ChainLook): readonly Taking[] => {
    const all = { perMinute: strangersPerMinute, most: strangersPerMinute, count }
    return [
      [findBucket(caller, own), { ...own, count }],
      [strangers, all],
    ]
  }

  /** Payments are public once they were sent: who shows those of a known payer uses up none of that payer's own. */
  const ofKnown = ({ payer, caller, count = 1 }: ChainLook): readonly Taking[] => {
    const all = strangersPerMinute * knownShare
    return [
      [findBucket(`${payer} ${caller}`, own), { ...own, count }],
      [known, { perMinute: all, most: all, count }],
    ]
  }

  /** One payer that calls from everywhere must not use up what all of them have: it is a stranger then. */
  const takingsOf = (look: ChainLook): readonly Taking[] => {
    const { payer, isKnown = false, count = 1 } = look
    if (!isKnown && !payers.has(payer)) return ofStranger(look)
    const most = strangersPerAddress * knownShare
    const terms = { perMinute: most, most, count }
    const bucket = findBucket(payer, terms)
    const isUsedUp = waitForTokens(bucket, terms, nowMs()) > 0
    return isUsedUp ? ofStranger(look) : [[bucket, terms], ...ofKnown(look)]
  }

  return {
    counts,
    take: (look) => {
      const takings = takingsOf(look)
      const waitMs = Math.max(
        ...takings.map(([each, terms]) => waitForTokens(each, terms, nowMs())),
      )
      if (waitMs > 0) {
        counts.refused++
        const limited = tooMany('unknown-payer-limited', Math.ceil(waitMs / 1000))
        return { kind: 'limited', limited }
      }
      for (const [each, terms] of takings) takeTokens(each, terms)
      counts.permitted++
      // Owned by this look.
      let isOver = false
      const giveBack = (): boolean => {
        if (isOver) return false
        isOver = true
        for (const [each, terms] of takings) giveTokens(each, terms)
        return true
      }
      return {
        kind: 'permitted',
        giveBack,
        proven: () => {
          if (!giveBack()) return
          counts.proven++
          keepLatest(payers, look.payer, true, maxKnown)
        },
      }
    },
  }
}
