/** How often, and how often at a time, one payer may call (spec/payment.md PA25). Kept in memory, for so many payers. */
import { createBucket, takeTokens, waitForTokens, type TokenBucket } from './token-bucket.ts'

/** What one payer may do; absent means: no limit. */
export type CallLimits = {
  readonly callsPerMinute?: number
  /** Calls that may come at once after a silence; by default those of a minute. */
  readonly burst?: number
  readonly concurrentCalls?: number
}

/** A call that came too early. The headers say when to come again. */
export type LimitReached = {
  readonly code: 'rate-limited' | 'concurrency-limited' | 'unknown-payer-limited'
  readonly detail: string
  readonly headers: Readonly<Record<string, string>>
}

/** Takes the call under judgement for this payer, or says why not. */
export type EnterPayer = (payer: string) => LimitReached | undefined

/** Owner of what is known of payers. */
export type PayerLimits = {
  /**
   * Takes a call of this payer, or says why not. A call that was taken holds its place until `leave`.
   *
   * @param call - the id of the call, the same object at both ends.
   * @param own - limits of this payer, each in place of the general one.
   */
  enter(call: Uint8Array, payer: string, own?: CallLimits): LimitReached | undefined
  /** Gives the place back; does nothing for a call that holds none. */
  leave(call: Uint8Array): void
}

/** Owned by the limits. */
type Payer = TokenBucket & { running: number }

// Each takes some 200 bytes.
const maxPayers = 50_000
const maxSteps = 16

/** A number of calls as an operator writes it: 1 to 999,999. */
export function parseCallCount(text: string): number | undefined {
  return /^[1-9][0-9]{0,5}$/.test(text) ? Number(text) : undefined
}

/** Limits that hold for every payer. Without any, and without own ones, nothing is kept. */
export function createPayerLimits(general: CallLimits, nowMs: () => number): PayerLimits {
  const payers = new Map<string, Payer>()
  const places = new Map<Uint8Array, Payer>()

  return {
    enter(call, name, own = noLimits) {
      const callsPerMinute = own.callsPerMinute ?? general.callsPerMinute
      const concurrentCalls = own.concurrentCalls ?? general.concurrentCalls
      if (callsPerMinute === undefined && concurrentCalls === undefined) return undefined
      const burst = own.burst ?? (own.callsPerMinute === undefined ? general.burst : undefined)
      const most = burst ?? callsPerMinute ?? 0
      const payer = payers.get(name) ?? { ...createBucket(most, nowMs()), running: 0 }
      touch(payers, name, payer)
      if (payer.running >= (concurrentCalls ?? Infinity)) return tooMany('concurrency-limited', 1)
      if (callsPerMinute !== undefined) {
        const terms = { perMinute: callsPerMinute, most }
        const waitMs = waitForTokens(payer, terms, nowMs())
        if (waitMs > 0) return tooMany('rate-limited', Math.ceil(waitMs / 1000))
        takeTokens(payer, terms)
      }
      payer.running++
      places.set(call, payer)
      return undefined
    },
    leave(call) {
      // The usual gateway limits nobody.
      if (places.size === 0) return
      const payer = places.get(call)
      if (payer !== undefined) payer.running--
      places.delete(call)
    },
  }
}

const noLimits: CallLimits = {}

/**
 * The payer is the latest; of too many the one that has not called for longest is forgotten. Who has a call under way
 * counts as calling: a few long calls at the front must not keep everybody else in memory.
 */
function touch(payers: Map<string, Payer>, name: string, payer: Payer): void {
  payers.delete(name)
  payers.set(name, payer)
  if (payers.size <= maxPayers) return
  let steps = 0
  for (const [oldest, other] of payers) {
    if (oldest === name || ++steps > maxSteps) return
    payers.delete(oldest)
    if (other.running === 0) return
    payers.set(oldest, other)
  }
}

/** How a caller is told when to come again. */
export function tooMany(code: LimitReached['code'], seconds: number): LimitReached {
  // Clients that retry by themselves do so after this time.
  const headers = { 'retry-after': String(seconds), 'x-should-retry': 'true' }
  return { code, detail: '', headers }
}
