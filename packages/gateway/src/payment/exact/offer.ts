/** What a call costs, as an x402 v2 offer (spec/payment.md PA5). */
import { encodePaymentRequiredHeader } from '@x402/core/http'
import type { PaymentRequirements } from '@x402/core/types'
import { getAddress, hexToNumber, numberToHex, type Address } from 'viem'

/** The terms under which one gateway is paid. Addresses are checksummed. */
export type Terms = {
  readonly network: `eip155:${string}`
  readonly chainId: number
  readonly asset: Address
  readonly assetName: string
  readonly assetVersion: string
  readonly payTo: Address
  readonly maxTimeoutSeconds: number
  /** Origin of the gateway as its callers see it, without a slash at the end. */
  readonly resourceBaseUrl: string
}

/** The offer for a call, and those of other schemes that stand beside it. */
export type Quote = {
  readonly amountAtomic: bigint
  readonly resourceUrl: string
  readonly requirements: PaymentRequirements
  readonly others: readonly PaymentRequirements[]
}

/** Name of our extension: its `info` carries the request hash and the salt of the nonce (PA6). */
export const requestExtension = 'countersign-request'

/** Name of the x402 extension by which a payer names a call (PA4). */
export const identifierExtension = 'payment-identifier'

const networkForm = /^eip155:([1-9][0-9]{0,14})$/

/**
 * Checks and completes the terms of a configuration.
 *
 * @throws RangeError for a network that is not `eip155:` and a chain id, or a malformed address.
 */
export function createTerms(
  options: Omit<Terms, 'chainId' | 'asset' | 'payTo'> & {
    readonly asset: string
    readonly payTo: string
  },
): Terms {
  const chainId = networkForm.exec(options.network)?.[1]
  if (chainId === undefined) throw new RangeError('the network is not eip155 and a chain id')
  return {
    ...options,
    chainId: hexToNumber(numberToHex(BigInt(chainId))),
    asset: toAddress(options.asset),
    payTo: toAddress(options.payTo),
    resourceBaseUrl: options.resourceBaseUrl.replace(/\/$/, ''),
  }
}

/** The offer for this path at this price. */
export function createQuote(
  terms: Terms,
  path: string,
  amountAtomic: bigint,
  others: readonly PaymentRequirements[] = [],
): Quote {
  return {
    others,
    amountAtomic,
    resourceUrl: `${terms.resourceBaseUrl}${path}`,
    requirements: createRequirements(terms, amountAtomic),
  }
}

/** The requirements of an offer, which a payer repeats in `accepted`. */
export function createRequirements(terms: Terms, amountAtomic: bigint): PaymentRequirements {
  return {
    scheme: 'exact',
    network: terms.network,
    amount: `${amountAtomic}`,
    asset: terms.asset,
    payTo: terms.payTo,
    maxTimeoutSeconds: terms.maxTimeoutSeconds,
    extra: { name: terms.assetName, version: terms.assetVersion },
  }
}

/** The PAYMENT-REQUIRED header; `error` says why the call was not admitted. */
export function encodeQuote(quote: Quote, error: string): Record<string, string> {
  return encodeOffers(quote.resourceUrl, [...quote.others, quote.requirements], error)
}

/** The PAYMENT-REQUIRED header with these offers, in their order. */
export function encodeOffers(
  resourceUrl: string,
  accepts: readonly PaymentRequirements[],
  error: string,
): Record<string, string> {
  const header = encodePaymentRequiredHeader({
    x402Version: 2,
    error,
    resource: { url: resourceUrl, description: '', mimeType: 'application/json' },
    accepts: [...accepts],
    extensions: {
      [requestExtension]: { info: { version: 1 } },
      [identifierExtension]: { info: { required: false }, schema: identifierSchema },
    },
  })
  return { 'payment-required': header }
}

const identifierSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  properties: {
    required: { type: 'boolean' },
    id: { type: 'string', minLength: 16, maxLength: 128, pattern: '^[a-zA-Z0-9_-]+$' },
  },
  required: ['required'],
}

function toAddress(text: string): Address {
  const lower = text.toLowerCase()
  if (!/^0x[0-9a-f]{40}$/.test(lower)) throw new RangeError('not an address')
  return getAddress(lower)
}
