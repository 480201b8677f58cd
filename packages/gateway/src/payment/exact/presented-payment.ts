/** Reads the PAYMENT-SIGNATURE header, cheap checks first (spec/payment.md PA7). */
import { fromHex } from '@countersign/protocol/bytes/text-encoding'
import { decodeJson, type JsonMap, type JsonValue } from '@countersign/protocol/bytes/json-decode'
import { PaymentPayloadV2Schema } from '@x402/core/schemas'
import { getAddress, type Address, type Hex } from 'viem'
import { parseAmountAtomic } from '../database.ts'
import { identifierExtension, requestExtension, type Quote } from './offer.ts'
import { PaymentRefused } from './refused.ts'

/** An EIP-3009 authorization. Addresses are checksummed, hex is lower case, times are seconds. */
export type Authorization = {
  readonly from: Address
  readonly to: Address
  readonly valueAtomic: bigint
  readonly validAfterSeconds: bigint
  readonly validBeforeSeconds: bigint
  readonly nonce: Hex
}

/** A payment that fits an offer; its signature, times and binding are not judged yet. */
export type PresentedPayment = {
  /**
   * What differs from the offer for this request, where the payment agrees with itself: it may have been reserved under
   * an earlier one (PA8.6). Nobody else made that offer.
   */
  readonly otherThanOffered: string | undefined
  readonly authorization: Authorization
  readonly signature: Hex
  readonly binding:
    | { readonly kind: 'none' }
    | { readonly kind: 'request'; readonly requestHash: Uint8Array; readonly salt: Uint8Array }
  readonly identifier: { readonly kind: 'none' } | { readonly kind: 'given'; readonly id: string }
}

const maxHeaderBytes = 8192
const base64Form = /^[A-Za-z0-9+/]+={0,2}$/
const addressForm = /^0x[0-9a-fA-F]{40}$/
const wordForm = /^0x[0-9a-fA-F]{64}$/
const signatureForm = /^0x[0-9a-fA-F]{130}$/
const identifierForm = /^[a-zA-Z0-9_-]{16,128}$/
const bindingForm = /^[0-9a-f]{64}$/

/**
 * Reads one header value against the offer for this very request.
 *
 * @throws PaymentRefused `payment-malformed` for what cannot be read, `payment-offer-mismatch` for a payment that
 * was made for another offer.
 */
export function parsePresentedPayment(
  header: string | readonly string[],
  quote: Quote,
): PresentedPayment {
  const payload = decodePayload(header)
  // The schema of the wire format; what follows is stricter.
  if (!PaymentPayloadV2Schema.safeParse(toPlain(payload)).success)
    throw malformed('The payload is not x402 v2.')
  const otherThanOffered = checkAccepted(memberMap(payload, 'accepted'), quote)
  const resource = payload.get('resource')
  if (isMap(resource) && resource.get('url') !== quote.resourceUrl) {
    throw new PaymentRefused('payment-offer-mismatch', 'The payment names another resource.')
  }
  const { authorization, signature } = readSignedAuthorization(memberMap(payload, 'payload'))
  const accepted = memberMap(payload, 'accepted')
  if (authorization.to !== accepted.get('payTo')) throw mismatch('payee')
  if (`${authorization.valueAtomic}` !== accepted.get('amount')) throw mismatch('amount')
  const extensions = payload.get('extensions') ?? null
  return {
    otherThanOffered,
    authorization,
    signature,
    binding: parseBinding(extensionInfo(extensions, requestExtension)),
    identifier: parseIdentifier(extensionInfo(extensions, identifierExtension)),
  }
}

/**
 * Reads `payload` of the scheme; whom it pays and how much is not judged.
 *
 * @throws PaymentRefused `payment-malformed`.
 */
export function readSignedAuthorization(
  payload: JsonMap,
): Pick<PresentedPayment, 'authorization' | 'signature'> {
  checkMembers(payload, ['authorization', 'signature'])
  return {
    authorization: parseAuthorization(memberMap(payload, 'authorization')),
    signature: toLowerHex(text(payload, 'signature', signatureForm)),
  }
}

function decodePayload(header: string | readonly string[]): JsonMap {
  // Node joins repeated headers by a comma, which base64 has not.
  if (typeof header !== 'string' || header.length > maxHeaderBytes) {
    throw malformed('One header of at most 8 KiB is expected.')
  }
  const bytes = Buffer.from(header, 'base64')
  if (!base64Form.test(header) || bytes.toString('base64') !== header) {
    throw malformed('The header is not padded base64.')
  }
  const payload = decodeJson(bytes)
  if (!isMap(payload)) throw malformed('The header holds no strict JSON object.')
  return payload
}

/** `__proto__` would be an ordinary member here, but nobody sends it who means well. */
function toPlain(value: JsonValue): unknown {
  if (isArray(value)) return value.map(toPlain)
  if (!isMap(value)) return value
  if (value.has('__proto__')) throw malformed('The payload has a member __proto__.')
  return Object.fromEntries([...value].map(([name, member]) => [name, toPlain(member)]))
}

function isMap(value: JsonValue | undefined): value is JsonMap {
  return value instanceof Map
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** Every member of the offer is repeated as it was; `extra` may have more members (a client's own). */
function checkAccepted(accepted: JsonMap, { requirements }: Quote): string | undefined {
  const findOther = <T extends keyof typeof requirements>(names: readonly T[]): T | undefined =>
    names.find((name) => accepted.get(name) !== requirements[name])
  const fixed = findOther(['scheme', 'network', 'asset'])
  if (fixed !== undefined) throw mismatch(fixed)
  const extra = accepted.get('extra')
  for (const [name, value] of Object.entries(requirements.extra)) {
    if (!isMap(extra) || extra.get(name) !== value) throw mismatch(`extra.${name}`)
  }
  if (isMap(extra) && (extra.get('assetTransferMethod') ?? 'eip3009') !== 'eip3009') {
    throw mismatch('extra.assetTransferMethod')
  }
  return findOther(['amount', 'payTo', 'maxTimeoutSeconds'])
}

function parseAuthorization(members: JsonMap): Authorization {
  checkMembers(members, ['from', 'to', 'value', 'validAfter', 'validBefore', 'nonce'])
  return {
    from: getAddress(text(members, 'from', addressForm).toLowerCase()),
    to: getAddress(text(members, 'to', addressForm).toLowerCase()),
    valueAtomic: whole(members, 'value'),
    validAfterSeconds: whole(members, 'validAfter'),
    validBeforeSeconds: whole(members, 'validBefore'),
    nonce: toLowerHex(text(members, 'nonce', wordForm)),
  }
}

/** What a payer echoes of our extensions must be what we said (`extension_echo_mismatch` of x402). */
function extensionInfo(extensions: JsonValue, name: string): JsonMap | undefined {
  if (!isMap(extensions) || !extensions.has(name)) return undefined
  const extension = extensions.get(name)
  const info = isMap(extension) ? extension.get('info') : undefined
  if (!isMap(info)) throw malformed(`The extension ${name} has no info.`)
  return info
}

function parseBinding(info: JsonMap | undefined): PresentedPayment['binding'] {
  if (info === undefined) return { kind: 'none' }
  if (info.get('version') !== 1) throw mismatch(`extension ${requestExtension}`)
  if (!info.has('requestHash') && !info.has('salt')) return { kind: 'none' }
  const requestHash = fromHex(text(info, 'requestHash', bindingForm))
  const salt = fromHex(text(info, 'salt', bindingForm))
  if (requestHash === undefined || salt === undefined) throw malformed('The binding is not hex.')
  return { kind: 'request', requestHash, salt }
}

function parseIdentifier(info: JsonMap | undefined): PresentedPayment['identifier'] {
  if (info === undefined) return { kind: 'none' }
  if (info.get('required') !== false) throw mismatch(`extension ${identifierExtension}`)
  if (!info.has('id')) return { kind: 'none' }
  return { kind: 'given', id: text(info, 'id', identifierForm) }
}

function checkMembers(members: JsonMap, names: readonly string[]): void {
  if (members.size !== names.length) throw malformed(`Expected are just: ${names.join(', ')}.`)
}

function memberMap(members: JsonMap, name: string): JsonMap {
  const value = members.get(name)
  if (!isMap(value)) throw malformed(`The member ${name} is no object.`)
  return value
}

function text(members: JsonMap, name: string, form: RegExp): string {
  const value = members.get(name)
  if (typeof value !== 'string' || !form.test(value))
    throw malformed(`The member ${name} is malformed.`)
  return value
}

function whole(members: JsonMap, name: string): bigint {
  const value = members.get(name)
  const amount = typeof value === 'string' ? parseAmountAtomic(value) : undefined
  if (amount === undefined) throw malformed(`The member ${name} is no whole number below 2^256.`)
  return amount
}

function toLowerHex(hex: string): Hex {
  return `0x${hex.slice(2).toLowerCase()}`
}

function malformed(detail: string): PaymentRefused {
  return new PaymentRefused('payment-malformed', detail)
}

/** The refusal of a payment that was made for another offer. */
export function mismatch(what: string): PaymentRefused {
  return new PaymentRefused('payment-offer-mismatch', `Other than in the offer: ${what}.`)
}
