/** How an exchange ended, and what a receipt says of that. */
import type { UpstreamFailure } from '../upstream/call-upstream.ts'
import type { ExchangeState } from './exchange.ts'

/** Why an exchange is over: the first of these that happens decides. */
export type Ending =
  | { readonly kind: 'upstream-ended' }
  | {
      readonly kind: 'upstream-failed'
      readonly failure: UpstreamFailure
      /** False: not a byte of the request left, so it was certainly not served. */
      readonly wasSent: boolean
    }
  | { readonly kind: 'caller-gone' }
  | { readonly kind: 'out-of-time'; readonly error: 'total-time' | 'shutdown' }

/** The time for the whole call is over. */
export const totalTimeIsOver: Ending = { kind: 'out-of-time', error: 'total-time' }

/** The gateway stops. */
export const gatewayHasStopped: Ending = { kind: 'out-of-time', error: 'shutdown' }

/** The upstream sent what no caller can have. */
export const answerIsMalformed: Ending = {
  kind: 'upstream-failed',
  failure: 'answer-malformed',
  wasSent: true,
}

/** A stream of more events than may be is malformed, also when it ended before they were counted. */
export function judgeLength(ending: Ending, events: number, maxEvents: number): Ending {
  return ending.kind === 'upstream-ended' && events > maxEvents ? answerIsMalformed : ending
}

/** `outcome` of a call (spec/receipt.md RC4): its state, and what went wrong. */
export type Outcome = { readonly state: ExchangeState; readonly error: string | null }

const errorInStream = { state: 'upstream-error', error: 'error-in-stream' } as const
/** The caller left. */
export const abortedByClient = { state: 'aborted-by-client', error: null } as const

/** The outcome of a stream of which something was returned; the provider's own words decide with its end. */
export function judgeStreamEnd(ending: Ending, isTerminated: boolean, hasError: boolean): Outcome {
  switch (ending.kind) {
    case 'caller-gone':
      // Clients leave at once when they read an error: it stays the provider's.
      if (hasError) return errorInStream
      // Who leaves after the last event has had the whole answer.
      return isTerminated ? { state: 'complete', error: null } : abortedByClient
    case 'out-of-time':
      return { state: 'timeout', error: ending.error }
    case 'upstream-failed':
      return failedState(ending.failure)
    case 'upstream-ended':
      if (hasError) return errorInStream
      if (!isTerminated) return { state: 'upstream-error', error: 'stream-incomplete' }
      return { state: 'complete', error: null }
  }
}

/** The outcome of a call whose upstream failed. */
export function failedState(failure: UpstreamFailure): Outcome {
  return { state: failure === 'timeout' ? 'timeout' : 'upstream-error', error: failure }
}
