/** Options of countersignFetch, and what follows from them. */
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import { ClientError } from './errors.ts'
import {
  baseSepoliaUsdc,
  baseUsdc,
  type AllowedAsset,
  type SpendingLimits,
} from './pay/spending-limits.ts'
import type { PaymentSigner } from './pay/transfer-authorization.ts'
import type { VerifiedReceipt } from './receipt/verified-receipt.ts'

/** The part of `fetch` that is used underneath. */
export type UnderlyingFetch = (url: string, init: RequestInit) => Promise<Response>

type CommonOptions = {
  /** Base URL of the gateway, as the `openai` client has it; its origin is the default of `hosts`. */
  readonly baseUrl: string
  /** Origins that may be called, for example `https://gateway.example`. Everything else is refused. */
  readonly hosts?: readonly string[]
  /** Bytes of the policy that receipts are judged by; `defaultPolicy` accepts SIMULATED evidence. */
  readonly policy?: Uint8Array
  /** Called once for each receipt, whatever its verdict: look at `verdict`. */
  readonly onReceipt?: (receipt: VerifiedReceipt) => void
  /** Called once for each answer whose receipt could not be had or does not belong to the call. */
  readonly onReceiptError?: (error: unknown) => void
  /** Most bytes of a response that are kept for verification; default 64 MiB. */
  readonly maxHeldBytes?: number
  readonly fetch?: UnderlyingFetch
  /** Milliseconds since the Unix epoch. */
  readonly now?: () => number
  /** So many random bytes, fit for secrets. */
  readonly random?: (bytes: number) => Uint8Array
  /** Resolves after so many milliseconds. */
  readonly delay?: (milliseconds: number) => Promise<void>
}

/** Pays each call over x402 within limits. Amounts are atomic units. */
export type WalletOptions = {
  readonly account: PaymentSigner
  /** Most that one call may cost. */
  readonly maxAmountAtomic: bigint
  /** Most that is ever signed by this function, whether it is charged or not. */
  readonly budgetAtomic: bigint
  /** Default: USDC on Base Sepolia and on Base. */
  readonly assets?: readonly AllowedAsset[]
  /** CAIP-2 names; default: those of `assets`. */
  readonly networks?: readonly string[]
  /** Addresses that may be paid; default: any. */
  readonly payTo?: readonly string[]
  /** Longest validity of a signed payment; default 600 seconds. */
  readonly maxLifetimeSeconds?: number
  readonly apiKey?: never
}

/** Pays with a key of the gateway, sent as bearer token instead of what the client sends. */
export type ApiKeyOptions = { readonly apiKey: string; readonly account?: never }

/** Neither wallet nor key: headers stay as they are, a 402 answer goes to the caller. */
export type UnpaidOptions = { readonly account?: never; readonly apiKey?: never }

/** Options of `countersignFetch`. */
export type CountersignFetchOptions = CommonOptions &
  (WalletOptions | ApiKeyOptions | UnpaidOptions)

/** How calls are paid. */
export type PaymentMeans =
  | {
      readonly kind: 'wallet'
      readonly account: PaymentSigner
      readonly budgetAtomic: bigint
      readonly limits: SpendingLimits
    }
  | { readonly kind: 'api-key'; readonly apiKey: string }
  | { readonly kind: 'none' }

/** Options with their defaults filled in. */
export type Settings = {
  readonly origins: ReadonlySet<string>
  readonly means: PaymentMeans
  readonly policy: Uint8Array
  readonly maxHeldBytes: number
  readonly onReceipt: (receipt: VerifiedReceipt) => void
  readonly onReceiptError: (error: unknown) => void
  readonly fetch: UnderlyingFetch
  readonly now: () => number
  readonly random: (bytes: number) => Uint8Array
  readonly delay: (milliseconds: number) => Promise<void>
}

const defaultMaxHeldBytes = 67_108_864
const defaultMaxLifetimeSeconds = 600
const ignore = (): void => undefined

/**
 * Fills in the defaults.
 *
 * @throws ClientError `options-invalid`.
 */
export function resolveOptions(options: CountersignFetchOptions): Settings {
  const origins = (options.hosts ?? [options.baseUrl]).map(readOrigin)
  if (origins.length === 0) throw invalid('hosts is empty')
  // That of now: ours may be put in its place, for clients that take no `fetch`.
  const platformFetch = globalThis.fetch
  return {
    origins: new Set(origins),
    means: readMeans(options),
    policy: options.policy ?? defaultPolicy,
    maxHeldBytes: options.maxHeldBytes ?? defaultMaxHeldBytes,
    onReceipt: options.onReceipt ?? ignore,
    onReceiptError: options.onReceiptError ?? ignore,
    fetch: options.fetch ?? ((url, init) => platformFetch(url, init)),
    now: options.now ?? Date.now,
    random: options.random ?? ((bytes) => crypto.getRandomValues(new Uint8Array(bytes))),
    delay: options.delay ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
  }
}

function readMeans(options: CountersignFetchOptions): PaymentMeans {
  if (options.apiKey !== undefined) {
    if (options.account !== undefined) throw invalid('account and apiKey exclude each other')
    return { kind: 'api-key', apiKey: options.apiKey }
  }
  if (options.account === undefined) return { kind: 'none' }
  const { account, maxAmountAtomic, budgetAtomic } = options
  refuseAmount('maxAmountAtomic', maxAmountAtomic)
  refuseAmount('budgetAtomic', budgetAtomic)
  const limits = {
    maxAmountAtomic,
    assets: options.assets ?? [baseSepoliaUsdc, baseUsdc],
    networks: options.networks === undefined ? 'any' : new Set(options.networks),
    payTo:
      options.payTo === undefined
        ? 'any'
        : new Set(options.payTo.map((address) => address.toLowerCase())),
    maxLifetimeSeconds: options.maxLifetimeSeconds ?? defaultMaxLifetimeSeconds,
  } as const
  return { kind: 'wallet', account, budgetAtomic, limits }
}

// Callers in JavaScript have no types: a number here would make every limit a wrong comparison.
function refuseAmount(name: string, amount: unknown): void {
  if (typeof amount !== 'bigint' || amount < 0n)
    throw invalid(`${name} is not a bigint of 0 or more`)
}

function readOrigin(text: string): string {
  if (!URL.canParse(text)) throw invalid(`${text} is no URL`)
  const { protocol, origin } = new URL(text)
  if (protocol !== 'https:' && protocol !== 'http:') throw invalid(`${text} is not http or https`)
  return origin
}

function invalid(detail: string): ClientError {
  return new ClientError('options-invalid', { detail })
}
