/** Offers of `upto` and `batch-settlement`, and whether a payment was made for one of them (spec/payment.md PA14, PA15.2). */
import type { JsonValue } from '../bytes/json-decode.ts'
import { isJsonMap } from './json-members.ts'
import { PaymentError, type PaymentCode } from './payment-code.ts'
import type { PresentedPayment } from './presented-payment.ts'

/** JSON that we write ourselves. */
export type OfferJson = string | number | boolean | { readonly [name: string]: OfferJson }

/** An entry of `accepts`, as x402 has it. */
export type OfferRequirements = {
  readonly scheme: 'upto' | 'batch-settlement'
  readonly network: string
  readonly amount: string
  readonly asset: string
  readonly payTo: string
  readonly maxTimeoutSeconds: number
  readonly extra: { readonly [name: string]: OfferJson }
}

/** One way to pay for one request. */
export type MeteredOffer = {
  /** The ceiling of the call. */
  readonly amountAtomic: bigint
  readonly resourceUrl: string
  readonly requirements: OfferRequirements
}

/** What the two schemes share. Addresses as they stand on the wire: EIP-55. */
export type MeteredTerms = {
  readonly network: `eip155:${string}`
  readonly chainId: bigint
  readonly asset: string
  readonly assetName: string
  readonly assetVersion: string
  readonly payTo: string
  readonly maxTimeoutSeconds: number
}

/** The members of an offer that do not depend on the scheme. */
export function createRequirements(
  terms: MeteredTerms,
  scheme: OfferRequirements['scheme'],
  amountAtomic: bigint,
  extra: OfferRequirements['extra'],
): OfferRequirements {
  return {
    scheme,
    network: terms.network,
    amount: `${amountAtomic}`,
    asset: terms.asset,
    payTo: terms.payTo,
    maxTimeoutSeconds: terms.maxTimeoutSeconds,
    extra: { name: terms.assetName, version: terms.assetVersion, ...extra },
  }
}

const codes: readonly (readonly [keyof OfferRequirements, PaymentCode])[] = [
  ['scheme', 'payment-scheme-mismatch'],
  ['network', 'payment-network-mismatch'],
  ['asset', 'payment-asset-mismatch'],
  ['payTo', 'payment-payee-mismatch'],
  ['amount', 'payment-amount-mismatch'],
  ['maxTimeoutSeconds', 'payment-offer-mismatch'],
]

/**
 * Compares what the payer accepted with the offer for this very request (F3, F8). Its `extra` may have more members:
 * a client's own, or those of a corrective answer.
 *
 * @throws PaymentError with the code of the first member that differs.
 */
export function checkAccepted(
  { accepted, resource }: PresentedPayment,
  { requirements, resourceUrl }: MeteredOffer,
): void {
  for (const [name, code] of codes) {
    if (accepted.get(name) !== requirements[name]) {
      throw new PaymentError(code, `Other than in the offer: ${name}.`)
    }
  }
  const extra = accepted.get('extra')
  for (const [name, value] of Object.entries(requirements.extra)) {
    if (!isJsonMap(extra) || !equalsOffer(extra.get(name), value)) {
      throw new PaymentError('payment-offer-mismatch', `Other than in the offer: extra.${name}.`)
    }
  }
  if (resource.has('url') && resource.get('url') !== resourceUrl) {
    throw new PaymentError('payment-resource-mismatch', 'The payment names another resource.')
  }
}

function equalsOffer(value: JsonValue | undefined, offered: OfferJson): boolean {
  if (typeof offered !== 'object') return value === offered
  const members = Object.entries(offered)
  if (!isJsonMap(value) || value.size !== members.length) return false
  return members.every(([name, member]) => equalsOffer(value.get(name), member))
}
