/** What an attack is, what it may use, and what it can find. */
import type { RawCall, RawResult } from '../provider/raw-client.ts'
import type { MoodyToken } from './drivers/accounts.ts'
import type { Driver, History, NarrowTerms } from './drivers/driver.ts'
import type { Payment, Quote, PaidRequest } from './wire.ts'

/** Payment schemes that can be attacked. */
export const schemes = ['exact', 'upto', 'batch-settlement'] as const

/** One of them. */
export type Scheme = (typeof schemes)[number]

/** Where an attack belongs (facts of the issue, table T). */
export type Area =
  | 'replay'
  | 'binding'
  | 'amounts'
  | 'capital'
  | 'streaming-http'
  | 'facilitator'
  | 'client'
  | 'audit'

/**
 * What an attack found. `passed` holds for what was judged; `without` names the parts of the attack that could not be
 * judged here, and such an outcome is reported as passed in part, never as passed.
 */
export type Outcome =
  | { readonly kind: 'passed'; readonly detail: string; readonly without: readonly string[] }
  | { readonly kind: 'failed'; readonly detail: string }
  /** The attack could not be carried through: nothing is known. */
  | { readonly kind: 'broken-off'; readonly detail: string }
  | { readonly kind: 'not-applicable'; readonly detail: string }
  | { readonly kind: 'not-run'; readonly detail: string }

/** Changes of what is signed. Text goes into the payload as it is; what cannot be signed keeps the signature of the good value. */
export type SignChanges = {
  readonly amount?: string
  readonly payTo?: string
  readonly chainId?: number
  readonly verifyingContract?: string
  /** Of a channel: the cumulative ceiling instead of the next one. */
  readonly ceilingAtomic?: bigint
  /** Signs with another key and claims to be the payer. */
  readonly forged?: boolean
  readonly nonce?: string
  readonly extensions?: Readonly<Record<string, unknown>>
}

/** Somebody with money, and one scheme to pay by. */
export type Payer = {
  readonly address: `0x${string}`
  /** A payment that is good when it is made, but for the changes. */
  sign(quote: Quote, changes?: SignChanges): Promise<Payment>
  /** What an answer said about what was charged. */
  hear(answer: RawResult): void
}

/** What every attack is given. */
export type Context = {
  readonly url: string
  readonly scheme: Scheme
  readonly request: PaidRequest
  readonly payer: Payer
  readonly rpcUrl: string
  /** How often the attacks repeat what they repeat. */
  readonly repeats: number
  readonly seed: number
  /** Knows and moves what cannot be seen or moved from outside. */
  readonly driver: Driver | undefined
  /** Posts the request, or another. */
  send(
    payment: Payment | string | undefined,
    request?: PaidRequest,
    more?: Partial<RawCall>,
  ): Promise<RawResult>
  /** The offers of an unpaid call. */
  quote(request?: PaidRequest, more?: Partial<RawCall>): Promise<Quote>
  /** A payment for a call, changed or not. */
  pay(request?: PaidRequest, changes?: SignChanges): Promise<Payment>
  /** An ordinary paid call, so that the payer knows again what was charged. */
  settleUp(): Promise<void>
  /** The same on a network of its own, for an attack that leaves nothing as it was; absent without a driver. */
  readonly fresh: ((narrow?: NarrowTerms) => Promise<FreshContext>) | undefined
  /** The same on a chain that can take blocks back (T40). */
  readonly reorganising: (() => Promise<FreshContext & { readonly history: History }>) | undefined
  /** The same with an asset that can become what tokens can become (T19). */
  readonly moody: (() => Promise<FreshContext & { readonly token: MoodyToken }>) | undefined
  /**
   * Runs calls, and says how often the work behind the server was done meanwhile. `known`: answers that were bought before, so
   * that without a driver the same again is no other execution.
   */
  observe(
    calls: () => Promise<readonly RawResult[]>,
    known?: readonly RawResult[],
  ): Promise<Observed>
}

/** A context that only one attack uses. */
export type FreshContext = { readonly context: Context; stop(): Promise<void> }

/** Answers, and how often the upstream was asked; without a driver, how many different answers were served. */
export type Observed = {
  readonly answers: readonly RawResult[]
  readonly executions: number
}

/** One attack. It throws AttackFailed where the server did what it must not do, or returns what it found. */
export type Attack = (context: Context) => Promise<Outcome>

/** Thrown where the server did what it must not do. */
export class AttackFailed extends Error {}

/** The server held; `without` names what was not judged. */
export function passed(detail: string, ...without: string[]): Outcome {
  return { kind: 'passed', detail, without }
}

/** The attack has no meaning for this scheme or server. */
export function notApplicable(detail: string): Outcome {
  return { kind: 'not-applicable', detail }
}

/** The attack was not made, and why. */
export function notRun(detail: string): Outcome {
  return { kind: 'not-run', detail }
}

/** The server must have done this. */
export function demand(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new AttackFailed(otherwise)
}

/** The answer was served: a status of 2xx and an end of its body. */
export function isServed({ status, failure }: RawResult): boolean {
  return status !== null && status >= 200 && status < 300 && failure === null
}

/** Status codes, counted. */
export function tally(answers: readonly RawResult[]): string {
  const counts = new Map<string, number>()
  for (const { status, failure } of answers) {
    const name = status === null ? `no answer (${failure})` : `${status}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts].map(([name, count]) => `${count} × ${name}`).join(', ')
}
