/** What a caller is ready to sign, and the judgement of an offer against it. Nothing is signed before this passed. */
import { ClientError, type ClientErrorCode } from '../errors.ts'
import type { Offer } from './payment-required.ts'

/** A token that may be paid with. Name and version are its EIP-712 domain. */
export type AllowedAsset = {
  /** CAIP-2, for example `eip155:84532`. */
  readonly network: string
  readonly address: `0x${string}`
  readonly name: string
  readonly version: string
}

/** A limit on some payments. All rules that a payment falls under hold for it. */
export type SpendingRule = {
  /** Origin of a gateway, for example `https://gateway.example`; absent: every gateway. */
  readonly host?: string
  /** Absent: every asset. Amounts of several assets are added up as they are: name one unless there is only one. */
  readonly asset?: { readonly network: string; readonly address: string }
  /** Most that one call may cost. */
  readonly perCallAtomic?: bigint
  /** Most that is signed from 00:00 to 24:00 UTC. */
  readonly perDayAtomic?: bigint
}

/** What rules are about. Addresses are lower case. */
export type SpendingPlace = {
  readonly origin: string
  readonly network: string
  readonly asset: string
}

/** Limits of every payment. Amounts are atomic units of the asset. */
export type SpendingLimits = {
  readonly maxAmountAtomic: bigint
  readonly assets: readonly AllowedAsset[]
  /** CAIP-2 names, or `any` of those in `assets`. */
  readonly networks: 'any' | ReadonlySet<string>
  /** Lower-case addresses, or `any`. */
  readonly payTo: 'any' | ReadonlySet<string>
  /** Longest time that a signed payment may stay valid; vouchers have none, they end with their channel. */
  readonly maxLifetimeSeconds: { readonly exact: number; readonly upto: number }
  readonly rules: readonly SpendingRule[]
}

/** USDC on Base Sepolia; the embedded chain has its token at the same place. */
export const baseSepoliaUsdc: AllowedAsset = {
  network: 'eip155:84532',
  address: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
  name: 'USDC',
  version: '2',
}

/** USDC on Base. */
export const baseUsdc: AllowedAsset = {
  network: 'eip155:8453',
  address: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913',
  name: 'USD Coin',
  version: '2',
}

/** True when this rule holds for a payment there. */
export function appliesTo({ host, asset }: SpendingRule, place: SpendingPlace): boolean {
  if (host !== undefined && host !== place.origin) return false
  if (asset === undefined) return true
  return asset.network === place.network && asset.address.toLowerCase() === place.asset
}

/** The token that an offer asks for, as this side knows it; `undefined` when it is not allowed. */
function findAsset(offer: Offer, { assets }: SpendingLimits): AllowedAsset | undefined {
  return assets.find(
    ({ network, address }) => network === offer.network && address.toLowerCase() === offer.asset,
  )
}

/**
 * The first offer of a gateway at this origin that the limits allow.
 *
 * @throws ClientError the refusal of the first offer, or `scheme-not-supported` when there is none.
 */
export function chooseOffer(
  offers: readonly Offer[],
  limits: SpendingLimits,
  origin: string,
): Offer {
  const allowed = offers.find((offer) => judgeOffer(offer, limits, origin) === undefined)
  if (allowed !== undefined) return allowed
  const [first] = offers
  if (first === undefined) throw new ClientError('scheme-not-supported')
  throw judgeOffer(first, limits, origin) ?? new ClientError('scheme-not-supported')
}

/** The refusal of an offer to a gateway at this origin, or `undefined` when the limits allow it. */
export function judgeOffer(
  offer: Offer,
  limits: SpendingLimits,
  origin: string,
): ClientError | undefined {
  const { networks, payTo } = limits
  if (networks !== 'any' && !networks.has(offer.network)) {
    return refuse('network-not-allowed', offer.network)
  }
  const asset = findAsset(offer, limits)
  if (asset === undefined) return refuse('asset-not-allowed', `${offer.asset} on ${offer.network}`)
  // A signature is only as narrow as its domain: the gateway must not choose it.
  if (asset.name !== offer.tokenName || asset.version !== offer.tokenVersion) {
    // Any text: in quotation marks it stays on its line.
    return refuse('token-domain-mismatch', JSON.stringify([offer.tokenName, offer.tokenVersion]))
  }
  if (payTo !== 'any' && !payTo.has(offer.payTo)) return refuse('payee-not-allowed', offer.payTo)
  const mostAtomic = mostPerCall(limits, { origin, network: offer.network, asset: offer.asset })
  if (offer.amountAtomic > mostAtomic) {
    return refuse('amount-above-limit', `${offer.amountAtomic} > ${mostAtomic}`)
  }
  const { scheme, maxTimeoutSeconds } = offer
  const longest = scheme === 'batch-settlement' ? undefined : limits.maxLifetimeSeconds[scheme]
  if (longest !== undefined && maxTimeoutSeconds > longest) {
    return refuse('offer-lifetime-too-long', `${maxTimeoutSeconds} > ${longest} s`)
  }
  return undefined
}

function mostPerCall({ maxAmountAtomic, rules }: SpendingLimits, place: SpendingPlace): bigint {
  let most = maxAmountAtomic
  for (const rule of rules) {
    const { perCallAtomic } = rule
    if (perCallAtomic !== undefined && perCallAtomic < most && appliesTo(rule, place)) {
      most = perCallAtomic
    }
  }
  return most
}

function refuse(code: ClientErrorCode, detail: string): ClientError {
  return new ClientError(code, { detail })
}
