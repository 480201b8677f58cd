/** What a caller is ready to sign, and the judgement of an offer against it. Nothing is signed before this passed. */
import { ClientError, type ClientErrorCode } from '../errors.ts'
import type { ExactOffer } from './payment-required.ts'

/** A token that may be paid with. Name and version are its EIP-712 domain. */
export type AllowedAsset = {
  /** CAIP-2, for example `eip155:84532`. */
  readonly network: string
  readonly address: `0x${string}`
  readonly name: string
  readonly version: string
}

/** Limits of every payment. Amounts are atomic units of the asset. */
export type SpendingLimits = {
  readonly maxAmountAtomic: bigint
  readonly assets: readonly AllowedAsset[]
  /** CAIP-2 names, or `any` of those in `assets`. */
  readonly networks: 'any' | ReadonlySet<string>
  /** Lower-case addresses, or `any`. */
  readonly payTo: 'any' | ReadonlySet<string>
  /** Longest time that a signed payment may stay valid. */
  readonly maxLifetimeSeconds: number
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

/**
 * The first offer that the limits allow.
 *
 * @throws ClientError the refusal of the first offer, or `scheme-not-supported` when there is none.
 */
export function chooseOffer(offers: readonly ExactOffer[], limits: SpendingLimits): ExactOffer {
  const allowed = offers.find((offer) => judgeOffer(offer, limits) === undefined)
  if (allowed !== undefined) return allowed
  const [first] = offers
  if (first === undefined) throw new ClientError('scheme-not-supported')
  throw judgeOffer(first, limits) ?? new ClientError('scheme-not-supported')
}

/** The refusal of an offer, or `undefined` when the limits allow it. */
export function judgeOffer(offer: ExactOffer, limits: SpendingLimits): ClientError | undefined {
  const { networks, payTo } = limits
  if (networks !== 'any' && !networks.has(offer.network)) {
    return refuse('network-not-allowed', offer.network)
  }
  const asset = limits.assets.find(
    ({ network, address }) => network === offer.network && address.toLowerCase() === offer.asset,
  )
  if (asset === undefined) return refuse('asset-not-allowed', `${offer.asset} on ${offer.network}`)
  // A signature is only as narrow as its domain: the gateway must not choose it.
  if (asset.name !== offer.tokenName || asset.version !== offer.tokenVersion) {
    return refuse('token-domain-mismatch', `${offer.tokenName} ${offer.tokenVersion}`)
  }
  if (payTo !== 'any' && !payTo.has(offer.payTo)) return refuse('payee-not-allowed', offer.payTo)
  if (offer.amountAtomic > limits.maxAmountAtomic) {
    return refuse('amount-above-limit', `${offer.amountAtomic} > ${limits.maxAmountAtomic}`)
  }
  if (offer.maxTimeoutSeconds > limits.maxLifetimeSeconds) {
    const { maxTimeoutSeconds } = offer
    return refuse(
      'offer-lifetime-too-long',
      `${maxTimeoutSeconds} > ${limits.maxLifetimeSeconds} s`,
    )
  }
  return undefined
}

function refuse(code: ClientErrorCode, detail: string): ClientError {
  return new ClientError(code, { detail })
}
