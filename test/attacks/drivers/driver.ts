/** What a test network lets the suite see and move. All of it is optional: what is missing is reported as not run. */
import type { MoodyToken } from './accounts.ts'
import type { PaidRequest } from '../wire.ts'
import type { RawResult } from '../../provider/raw-client.ts'

/** Bodies whose upstream behaves in a known way. */
export type SpecialRequests = {
  /** Another paid route with the same price. */
  readonly otherRoute?: PaidRequest
  /** The same route at another price. */
  readonly otherPrice?: PaidRequest
  /** A stream of many pieces, some time apart. */
  readonly slowStream?: PaidRequest
  /** A stream of more pieces than its ceiling pays for; nobody counts them. */
  readonly flood?: PaidRequest
  /** An answer in one piece that takes some time. */
  readonly slowAnswer?: PaidRequest
  /** A stream that the upstream cuts in the middle. */
  readonly cutStream?: PaidRequest
  /** The upstream answers 500. */
  readonly upstreamError?: PaidRequest
  /** The connection to the upstream breaks within its answer. */
  readonly upstreamReset?: PaidRequest
  /** The upstream reports use that cannot be. */
  readonly lyingUsage?: PaidRequest
  /** The upstream sends payment headers of its own. */
  readonly injectedHeaders?: PaidRequest
  /** The same answer without them. */
  readonly plainTwin?: PaidRequest
  /** Where a channel gives money back; asked by GET. */
  readonly refund?: PaidRequest
  /** A call that is charged 0. */
  readonly freeOfCharge?: PaidRequest
}

/** What happens to one JSON-RPC call between the server and its chain. */
export type RpcRule = (
  method: string,
  params: readonly unknown[],
  forward: () => Promise<unknown>,
) => Promise<unknown>

/** Thrown by a rule: the connection is closed without an answer. */
export class RpcDropped extends Error {}

/** What a server may be told: bounds, so that an attack comes to them, and a second node. */
export type NarrowTerms = {
  readonly callsPerMinute?: number
  /** What one payer may owe at once, failed settlements included. */
  readonly maxExposureAtomic?: string
  /** It asks two nodes, which must agree: `rpcRule` is that of the first. */
  readonly asksTwoNodes?: boolean
}

/** A network for one attack. */
export type FreshNetwork = {
  readonly url: string
  readonly rpcUrl: string
  readonly request: PaidRequest
  readonly driver: Driver
}

/** The newest blocks of a chain that can take them back. */
export type History = {
  height(): Promise<bigint>
  /** Other blocks follow this one now; the transactions of those that stood there are forgotten. */
  takeBackTo(height: bigint): Promise<void>
}

/** A test network. */
export type Driver = {
  readonly requests: SpecialRequests
  /** How often the upstream was asked since the network started. */
  executions(): Promise<number>
  /** Resolves when no call is open at the upstream. */
  untilIdle(): Promise<void>
  /** kill -9, and a new start on the same data and the same URL. */
  restart?(): Promise<void>
  /** From now on the server kills itself at this point of its work, counted from 1 (`crash-points.ts`). */
  readonly armDeath?: (point: number) => void
  /** No more; the name of the point at which it died, and it runs again. Waits so long for its death. */
  readonly disarmDeath?: (withinMs: number) => Promise<string | undefined>
  /** The URL of a second server of the same operator, with data of its own. */
  secondUrl?(): Promise<string>
  /** A key that holds so much of the asset; Permit2 may take it, and it has gas. */
  createPayerKey(balanceAtomic?: bigint): Promise<`0x${string}`>
  /** Stands between the server and its chain while it is set. */
  rpcRule: RpcRule | undefined
  /** Raw transactions that the server has sent to its chain. */
  broadcasts(): readonly string[]
  /** Resolves when this transaction is in a block. */
  untilMined?(hash: `0x${string}`): Promise<unknown>
  /** What the receipt of an answer says was charged. */
  chargeOf?(answer: RawResult): Promise<bigint>
  /** Whether the receipt of `answer` also passes for this request and response. */
  receiptFits?(answer: RawResult, request: string, response: Uint8Array): Promise<boolean>
  /** The most that this answer may cost by the price sheet, in atomic units. */
  priceOf?(answer: RawResult): bigint
  /** CPU seconds that the server has used. */
  cpuSeconds?(): number
  /** Puts the clocks of the server and of its chain, or of one, so far ahead. */
  moveClock?(seconds: number, whose?: 'server' | 'chain'): Promise<void>
  /** The operator attests another settlement key; the server goes on with that one. */
  rotateKey?(): Promise<void>
  /** What the payee of the server has, in the asset. */
  payeeBalance?(): Promise<bigint>
  /** Another network like this one, for an attack that leaves nothing as it was. */
  fresh?(narrow?: NarrowTerms): Promise<FreshNetwork>
  /** Another network like this one, whose chain takes blocks back. */
  reorganising?(): Promise<FreshNetwork & { readonly history: History }>
  /** Another network like this one, whose asset can become what tokens can become. */
  withMoodyToken?(): Promise<FreshNetwork & { readonly token: MoodyToken }>
  /** Kills, stalls and failures at random; throws when a sum differs. */
  chaos?(): Promise<string>
  stop(): Promise<void>
}
