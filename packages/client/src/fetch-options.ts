/** Options of countersignFetch, and what follows from them. */
import type { EvidenceVerifier } from '@countersign/protocol/verify/check-evidence'
import type { AttestKeyset } from './attested/attest-keyset.ts'
import { ClientError } from './errors.ts'
import { createChainReader, type ChainReader } from './chain/chain-reader.ts'
import { createPriceCheck, type PriceBounds, type PriceCheck } from './pay/advertised-prices.ts'
import type { ChannelPolicy, PayeeCheck } from './pay/channel-book.ts'
import type { StateStore } from './pay/client-state.ts'
import type { PaymentScheme } from './pay/payment-required.ts'
import {
  baseSepoliaUsdc,
  baseUsdc,
  type AllowedAsset,
  type SpendingLimits,
  type SpendingRule,
} from './pay/spending-limits.ts'
import type { PaymentSigner } from './pay/sign-typed-data.ts'
import { choosePolicy } from './receipt/choose-policy.ts'
import type { VerifiedReceipt } from './receipt/verified-receipt.ts'

/** The part of `fetch` that is used underneath. */
export type UnderlyingFetch = (url: string, init: RequestInit) => Promise<Response>

type CommonOptions = {
  /** Base URL of the gateway, as the `openai` client has it; its origin is the default of `hosts`. */
  readonly baseUrl: string
  /** Origins that may be called, for example `https://gateway.example`. Everything else is refused. */
  readonly hosts?: readonly string[]
  /**
   * Bytes of the policy that receipts are judged by. Default: `productionPolicy` where `judgeEvidence` is given, else
   * `defaultPolicy`, which accepts SIMULATED evidence.
   */
  readonly policy?: Uint8Array
  /** Judges evidence of hardware in receipts (`createEvidenceVerifier`); without one it proves nothing. */
  readonly judgeEvidence?: EvidenceVerifier
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
  /** Longest validity of a signed payment; default 600 seconds, with `upto` 7500. */
  readonly maxLifetimeSeconds?: number
  /** More limits: per call and per day, for a host, an asset, or all. All that apply hold. */
  readonly rules?: readonly SpendingRule[]
  /** Keeps day totals and channels; without one they are forgotten with the process. `openStateFile` on Node. */
  readonly state?: StateStore
  /** JSON-RPC URL of a node (or a reader) for each CAIP-2 name. `upto` and channels need one. */
  readonly chains?: Readonly<Record<string, string | ChainReader>>
  /** Pays metered calls one by one, each by a signed maximum. The payer must have approved Permit2 once. */
  readonly upto?: boolean
  /** Pays metered calls from a channel. */
  readonly channels?: ChannelOptions
  /**
   * Judges who is paid before `upto` and deposits: `createPayeeCheck` of `@countersign/client/payee-check` by terms that
   * the payer has, `createAnnouncedPayeeCheck` of `…/announced-payee-check` by those that the gateway announces.
   */
  readonly checkPayee?: PayeeCheck | 'unchecked'
  /**
   * Before anything is signed for an offer, by whichever scheme, its payee must stand in the attested keyset of the
   * gateway: `createKeysetAttester` of `@countersign/client/keyset-attester`. Default: compared after the call.
   */
  readonly attestKeyset?: AttestKeyset
  /** Refuses prices above the list of the gateway; default: only with `upto` and channels. */
  readonly prices?: PriceBounds | 'unchecked'
  readonly apiKey?: never
}

/** How channels are filled. Amounts are atomic units. */
export type ChannelOptions = {
  /** Deposited when a channel is opened, and at each top-up. */
  readonly depositAtomic: bigint
  /** A call after which less than this is left brings a top-up with it; default 0: only one that does not fit. */
  readonly topUpBelowAtomic?: bigint
  /** Most that lies in the channels of one token with one gateway and is not charged; default: twice the deposit. */
  readonly maxLockedAtomic?: bigint
  /** Most calls at once in one channel, however many the gateway allows; default 16. */
  readonly maxRunningCalls?: number
  /** Another salt is another channel of the same parties, for one that a gateway serves no more; default 0. */
  readonly salt?: bigint
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
      readonly schemes: ReadonlySet<PaymentScheme>
      readonly store: StateStore | undefined
      readonly channels: ChannelPolicy | undefined
      readonly readerOf: (network: string) => ChainReader
      readonly checkPayee: PayeeCheck
      readonly checkPrice: PriceCheck
      readonly attestKeyset: AttestKeyset | undefined
    }
  | { readonly kind: 'api-key'; readonly apiKey: string }
  | { readonly kind: 'none' }

/** Options with their defaults filled in. */
export type Settings = {
  readonly origins: ReadonlySet<string>
  readonly means: PaymentMeans
  readonly policy: Uint8Array
  readonly judgeEvidence: EvidenceVerifier | undefined
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
// A maximum has to hold for as long as the call takes.
const defaultUptoLifetimeSeconds = 7500
const defaultRunningCalls = 16
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
  const fetch: UnderlyingFetch = options.fetch ?? ((url, init) => platformFetch(url, init))
  const now = options.now ?? Date.now
  return {
    origins: new Set(origins),
    means: readMeans(options, fetch, now),
    policy: choosePolicy(options.policy, options.judgeEvidence),
    judgeEvidence: options.judgeEvidence,
    maxHeldBytes: options.maxHeldBytes ?? defaultMaxHeldBytes,
    onReceipt: options.onReceipt ?? ignore,
    onReceiptError: options.onReceiptError ?? ignore,
    fetch,
    now,
    random: options.random ?? ((bytes) => crypto.getRandomValues(new Uint8Array(bytes))),
    delay: options.delay ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
  }
}

function readMeans(
  options: CountersignFetchOptions,
  fetch: UnderlyingFetch,
  now: () => number,
): PaymentMeans {
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
    maxLifetimeSeconds: {
      exact: options.maxLifetimeSeconds ?? defaultMaxLifetimeSeconds,
      upto: options.maxLifetimeSeconds ?? defaultUptoLifetimeSeconds,
    },
    rules: (options.rules ?? []).map(readRule),
  } as const
  const { attestKeyset } = options
  const metered = readMetered(options, fetch, now)
  return { kind: 'wallet', account, budgetAtomic, limits, attestKeyset, ...metered }
}

/** What the metered schemes need; each is there or is refused before anything is signed. */
function readMetered(
  options: WalletOptions,
  fetch: UnderlyingFetch,
  now: () => number,
): Omit<
  Extract<PaymentMeans, { kind: 'wallet' }>,
  'kind' | 'account' | 'budgetAtomic' | 'limits' | 'attestKeyset'
> {
  const { upto = false, channels, checkPayee, prices } = options
  const isMetered = upto || channels !== undefined
  const readers = readChains(options)
  if (isMetered && (checkPayee === undefined || readers.size === 0)) {
    throw invalid('upto and channels need checkPayee and chains')
  }
  const isUnpriced = prices === 'unchecked' || (prices === undefined && !isMetered)
  return {
    schemes: new Set<PaymentScheme>([
      ...(channels === undefined ? [] : ['batch-settlement' as const]),
      ...(upto ? ['upto' as const] : []),
      'exact',
    ]),
    store: options.state,
    channels: channels === undefined ? undefined : readChannels(channels),
    readerOf: (network) => {
      const reader = readers.get(network)
      if (reader === undefined) throw new ClientError('network-not-allowed', { detail: network })
      return reader
    },
    checkPayee: typeof checkPayee === 'function' ? checkPayee : accept,
    checkPrice: isUnpriced ? accept : createPriceCheck(prices ?? {}, fetch, now),
  }
}

function readChains({ chains = {} }: WalletOptions): ReadonlyMap<string, ChainReader> {
  return new Map(
    Object.entries(chains).map(([network, chain]) => [
      network,
      typeof chain === 'string' ? createChainReader(chain) : chain,
    ]),
  )
}

function readChannels(channels: ChannelOptions): ChannelPolicy {
  const { depositAtomic, topUpBelowAtomic = 0n, salt = 0n } = channels
  const { maxLockedAtomic = 2n * depositAtomic, maxRunningCalls = defaultRunningCalls } = channels
  refuseAmount('channels.depositAtomic', depositAtomic)
  refuseAmount('channels.topUpBelowAtomic', topUpBelowAtomic)
  refuseAmount('channels.maxLockedAtomic', maxLockedAtomic)
  if (!Number.isSafeInteger(maxRunningCalls) || maxRunningCalls < 1) {
    throw invalid('channels.maxRunningCalls is not a whole number above 0')
  }
  if (typeof salt !== 'bigint' || salt < 0n || salt >> 256n !== 0n) {
    throw invalid('channels.salt is not a bigint of at most 256 bits')
  }
  return { depositAtomic, topUpBelowAtomic, maxLockedAtomic, maxRunningCalls, salt }
}

function readRule(rule: SpendingRule): SpendingRule {
  const { host, perCallAtomic, perDayAtomic } = rule
  if (perCallAtomic !== undefined) refuseAmount('rules.perCallAtomic', perCallAtomic)
  if (perDayAtomic !== undefined) refuseAmount('rules.perDayAtomic', perDayAtomic)
  if (perCallAtomic === undefined && perDayAtomic === undefined) {
    throw invalid('a rule limits nothing')
  }
  // `https://gateway.example/` and `https://gateway.example` are one origin, and a rule must not miss it.
  return host === undefined ? rule : { ...rule, host: readOrigin(host) }
}

function accept(): Promise<void> {
  return Promise.resolve()
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
