/** The PAYMENT-SIGNATURE header of x402 v2, and what ties a payment to its request (spec/payment.md PA6, PA15). */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { JsonMap, JsonValue } from '@countersign/protocol/bytes/json-decode'
import { createPaymentNonce } from '@countersign/protocol/payment/request-nonce'
import { jsonMap, toBase64Json } from './base64-json.ts'
import type { Offer } from './payment-required.ts'

/** What ties a payment to a request. */
export type PaymentBinding = {
  readonly requestHash: Uint8Array
  /** 32 fresh random bytes: the same request can be bought again with another salt. */
  readonly salt: Uint8Array
  /** What is sent as `x-receipt-nonce` whenever this payment is shown. */
  readonly receiptNonce: Uint8Array
}

/** An offer, and what else of the 402 answer goes into a payment. */
export type PaymentTerms<O extends Offer = Offer> = {
  readonly offer: O
  readonly resource: JsonValue | undefined
  readonly extensions: JsonMap | undefined
}

/** What stands as `info` of an extension of ours. */
export type ExtensionMembers = {
  readonly extension: string
  readonly members: Readonly<Record<string, JsonValue>>
}

/** Bytes of the nonce that a receipt repeats. */
export const receiptNonceBytes = 16

/** The free 32-byte nonce of a payment that is for one request only. */
export function createBoundNonce({ requestHash, salt }: PaymentBinding): Uint8Array {
  return createPaymentNonce(requestHash, salt)
}

/** How the nonce was made. */
export function requestMembers({ requestHash, salt }: PaymentBinding): ExtensionMembers {
  return {
    extension: 'countersign-request',
    members: { version: 1, requestHash: toHex(requestHash), salt: toHex(salt) },
  }
}

/** That the channel is used with unique ceilings (PA18.4). */
export const uniqueCeilingMembers: ExtensionMembers = {
  extension: 'countersign-concurrency',
  members: { mode: 'unique-ceiling' },
}

/** The header. What the gateway advertised is echoed, as x402 asks. */
export function encodePaymentHeader(
  { offer, resource, extensions }: PaymentTerms,
  payload: JsonValue,
  added: ExtensionMembers | undefined,
): string {
  const echoed: JsonMap = extensions ?? new Map<string, JsonValue>()
  return toBase64Json(
    new Map<string, JsonValue>([
      ['x402Version', 2],
      ...(resource === undefined ? [] : [['resource', resource] as const]),
      ['accepted', offer.json],
      ['payload', payload],
      ['extensions', added === undefined ? echoed : extend(echoed, added)],
    ]),
  )
}

function extend(extensions: JsonMap, { extension, members }: ExtensionMembers): JsonMap {
  return new Map<string, JsonValue>([
    ...extensions,
    [extension, jsonMap({ info: jsonMap(members) })],
  ])
}
