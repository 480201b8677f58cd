/** Reads the offers of a 402 answer: x402 v2 PaymentRequired, with limits. All of it is the gateway's word. */
import type { JsonMap, JsonValue } from '@countersign/protocol/bytes/json-decode'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { ClientError } from '../errors.ts'
import { fromBase64Json, isJsonArray, isJsonMap } from './base64-json.ts'

/** What offers of all schemes say. `json` is the offer as it came, to be repeated in the payment. */
type OfferTerms = {
  readonly network: string
  /** Lower-case 0x address. */
  readonly asset: Hex
  /** Lower-case 0x address. */
  readonly payTo: Hex
  /** The price of the call; for the metered schemes the most that it can cost. */
  readonly amountAtomic: bigint
  readonly maxTimeoutSeconds: number
  /** EIP-712 domain of the token, as the gateway says. */
  readonly tokenName: string
  readonly tokenVersion: string
  readonly json: JsonMap
}

/** One offer of scheme `exact` by EIP-3009. */
export type ExactOffer = OfferTerms & { readonly scheme: 'exact' }

/** One offer of scheme `upto`. */
export type UptoOffer = OfferTerms & {
  readonly scheme: 'upto'
  /** The only account that may settle: lower-case 0x address. */
  readonly facilitator: Hex
}

/** One offer of scheme `batch-settlement`. */
export type ChannelOffer = OfferTerms & {
  readonly scheme: 'batch-settlement'
  readonly receiverAuthorizer: Hex
  readonly withdrawDelaySeconds: number
  readonly minDepositAtomic: bigint
  /** Calls that may run at once with unique ceilings (spec/payment.md PA18.4); 1 when that is not advertised. */
  readonly maxRunningCalls: number
}

/** An offer that this package can pay. */
export type Offer = ExactOffer | UptoOffer | ChannelOffer

/** A way to pay. */
export type PaymentScheme = Offer['scheme']

/** What a 402 answer offers. `offers` holds only those of the schemes asked for, in the gateway's order. */
export type PaymentRequired = {
  readonly offers: readonly Offer[]
  readonly resource: JsonValue | undefined
  readonly extensions: JsonMap | undefined
  /** The gateway's `error` text, or empty. */
  readonly error: string
}

const maxOffers = 32
const maxText = 256
const maxConcurrency = 1024
const maxUint256 = (1n << 256n) - 1n
const maxUint40 = 2 ** 40 - 1
const decimal = /^(?:0|[1-9][0-9]{0,77})$/
const network = /^[a-z0-9-]{3,8}:[-_a-zA-Z0-9]{1,32}$/
const onlyExact: ReadonlySet<PaymentScheme> = new Set(['exact'])

/**
 * Parses the header.
 *
 * @throws ClientError `payment-required-malformed`, whatever the bytes are.
 */
export function parsePaymentRequired(
  header: string,
  schemes: ReadonlySet<PaymentScheme> = onlyExact,
): PaymentRequired {
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
    offers: accepts.flatMap((offer) => readOffer(offer, schemes)),
    resource: value.get('resource') ?? undefined,
    extensions,
    error,
  }
}

// An offer of another scheme is not ours to judge; one of ours must be right to the last member that is signed.
function readOffer(value: JsonValue, schemes: ReadonlySet<PaymentScheme>): readonly Offer[] {
  if (!isJsonMap(value)) throw malformed('an offer is no object')
  const scheme = [...schemes].find((known) => known === text(value, 'scheme'))
  if (scheme === undefined) return []
  const extra = value.get('extra')
  if (!isJsonMap(extra)) throw malformed('extra is no object')
  const method = extra.get('assetTransferMethod')
  switch (scheme) {
    case 'exact':
      if (method !== undefined && method !== 'eip3009') return []
      return [{ scheme, ...readTerms(value, extra) }]
    case 'upto':
      if (method !== 'permit2') return []
      return [
        { scheme, ...readTerms(value, extra), facilitator: address(extra, 'facilitatorAddress') },
      ]
    case 'batch-settlement':
      if (method !== undefined && method !== 'eip3009') return []
      return [{ scheme, ...readTerms(value, extra), ...readChannelTerms(extra) }]
  }
}

function readTerms(value: JsonMap, extra: JsonMap): OfferTerms {
  const maxTimeoutSeconds = value.get('maxTimeoutSeconds')
  if (typeof maxTimeoutSeconds !== 'number' || maxTimeoutSeconds <= 0) {
    throw malformed('maxTimeoutSeconds is not a positive integer')
  }
  return {
    network: matching(value, 'network', network),
    asset: address(value, 'asset'),
    payTo: address(value, 'payTo'),
    amountAtomic: readAmount(value, 'amount'),
    maxTimeoutSeconds,
    tokenName: text(extra, 'name'),
    tokenVersion: text(extra, 'version'),
    json: value,
  }
}

function readChannelTerms(
  extra: JsonMap,
): Pick<
  ChannelOffer,
  'receiverAuthorizer' | 'withdrawDelaySeconds' | 'minDepositAtomic' | 'maxRunningCalls'
> {
  const withdrawDelaySeconds = extra.get('withdrawDelay')
  if (
    typeof withdrawDelaySeconds !== 'number' ||
    withdrawDelaySeconds < 0 ||
    withdrawDelaySeconds > maxUint40
  ) {
    throw malformed('withdrawDelay is not a number of seconds')
  }
  return {
    receiverAuthorizer: address(extra, 'receiverAuthorizer'),
    withdrawDelaySeconds,
    minDepositAtomic: extra.has('minDeposit') ? readAmount(extra, 'minDeposit') : 0n,
    maxRunningCalls: readConcurrency(extra.get('concurrency')),
  }
}

/** What is not advertised in our own words is not there: then calls go one at a time. */
function readConcurrency(value: JsonValue | undefined): number {
  if (!isJsonMap(value) || value.get('mode') !== 'unique-ceiling') return 1
  const max = value.get('max')
  return typeof max === 'number' && max >= 1 && max <= maxConcurrency ? max : 1
}

function readAmount(members: JsonMap, name: string): bigint {
  const amountAtomic = BigInt(matching(members, name, decimal))
  if (amountAtomic > maxUint256) throw malformed(`${name} is larger than uint256`)
  return amountAtomic
}

function address(members: JsonMap, name: string): Hex {
  const parsed = parseAddress(members.get(name))
  if (parsed === undefined) throw malformed(`${name} has another form`)
  return parsed
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
