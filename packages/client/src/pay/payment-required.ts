/** Reads the offers of a 402 answer: x402 v2 PaymentRequired, with limits. All of it is the gateway's word. */
import type { JsonMap, JsonValue } from '@countersign/protocol/bytes/json-decode'
import { ClientError } from '../errors.ts'
import { fromBase64Json, isJsonArray, isJsonMap } from './base64-json.ts'

/** One offer of scheme `exact` by EIP-3009. `json` is the offer as it came, to be repeated in the payment. */
export type ExactOffer = {
  readonly network: string
  /** Lower-case 0x address. */
  readonly asset: string
  /** Lower-case 0x address. */
  readonly payTo: string
  readonly amountAtomic: bigint
  readonly maxTimeoutSeconds: number
  /** EIP-712 domain of the token, as the gateway says. */
  readonly tokenName: string
  readonly tokenVersion: string
  readonly json: JsonMap
}

/** What a 402 answer offers. `offers` holds only those of scheme `exact` by EIP-3009, in the gateway's order. */
export type PaymentRequired = {
  readonly offers: readonly ExactOffer[]
  readonly resource: JsonValue | undefined
  readonly extensions: JsonMap | undefined
  /** The gateway's `error` text, or empty. */
  readonly error: string
}

const maxOffers = 32
const maxText = 256
const maxUint256 = (1n << 256n) - 1n
const decimal = /^(?:0|[1-9][0-9]{0,77})$/
const address = /^0x[0-9a-fA-F]{40}$/
const network = /^[a-z0-9-]{3,8}:[-_a-zA-Z0-9]{1,32}$/

/**
 * Parses the header.
 *
 * @throws ClientError `payment-required-malformed`, whatever the bytes are.
 */
export function parsePaymentRequired(header: string): PaymentRequired {
  const value = fromBase64Json(header)
  if (!isJsonMap(value)) throw malformed('not base64 of a JSON object')
  if (value.get('x402Version') !== 2) throw malformed('x402Version is not 2')
  const accepts = value.get('accepts')
  if (!isJsonArray(accepts) || accepts.length === 0 || accepts.length > maxOffers) {
    throw malformed('accepts is not a list of 1 to 32 offers')
  }
  const error = value.get('error') ?? ''
  const extensions = value.get('extensions') ?? undefined
  if (typeof error !== 'string') throw malformed('error is no text')
  if (extensions !== undefined && !isJsonMap(extensions)) throw malformed('extensions is no object')
  return {
    offers: accepts.flatMap(readOffer),
    resource: value.get('resource') ?? undefined,
    extensions,
    error,
  }
}

// An offer of another scheme is not ours to judge; one of ours must be right to the last member that is signed.
function readOffer(value: JsonValue): readonly ExactOffer[] {
  if (!isJsonMap(value)) throw malformed('an offer is no object')
  if (text(value, 'scheme') !== 'exact') return []
  const extra = value.get('extra')
  if (!isJsonMap(extra)) throw malformed('extra is no object')
  if (extra.has('assetTransferMethod') && extra.get('assetTransferMethod') !== 'eip3009') return []
  const maxTimeoutSeconds = value.get('maxTimeoutSeconds')
  if (typeof maxTimeoutSeconds !== 'number' || maxTimeoutSeconds <= 0) {
    throw malformed('maxTimeoutSeconds is not a positive integer')
  }
  return [
    {
      network: matching(value, 'network', network),
      asset: matching(value, 'asset', address).toLowerCase(),
      payTo: matching(value, 'payTo', address).toLowerCase(),
      amountAtomic: readAmount(value),
      maxTimeoutSeconds,
      tokenName: text(extra, 'name'),
      tokenVersion: text(extra, 'version'),
      json: value,
    },
  ]
}

function readAmount(offer: JsonMap): bigint {
  const amountAtomic = BigInt(matching(offer, 'amount', decimal))
  if (amountAtomic > maxUint256) throw malformed('amount is larger than uint256')
  return amountAtomic
}

function matching(map: JsonMap, name: string, pattern: RegExp): string {
  const value = text(map, name)
  if (!pattern.test(value)) throw malformed(`${name} has another form`)
  return value
}

function text(map: JsonMap, name: string): string {
  const value = map.get(name)
  if (typeof value !== 'string' || value.length === 0 || value.length > maxText) {
    throw malformed(`${name} is not a text of 1 to ${maxText} characters`)
  }
  return value
}

function malformed(detail: string): ClientError {
  return new ClientError('payment-required-malformed', { detail })
}
