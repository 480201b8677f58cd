/** What a payer says beside its payment: the request it is for, a name for the call, the mode of its channel. */
import type { JsonMap } from '../bytes/json-decode.ts'
import { fromHex } from '../bytes/text-encoding.ts'
import { parseEvmSignature, type EvmSignature } from './evm-signature.ts'
import { isJsonMap, malformed, readDecimal } from './json-members.ts'
import { PaymentError } from './payment-code.ts'
import type { PresentedPayment } from './presented-payment.ts'

/** The extensions of a payment that we know. */
export type PaymentExtensions = {
  /** The request hash and salt of the nonce (PA6). */
  readonly binding:
    | { readonly kind: 'none' }
    | { readonly kind: 'request'; readonly requestHash: Uint8Array; readonly salt: Uint8Array }
  /** The payer's name for the call (PA4). */
  readonly identifier: { readonly kind: 'none' } | { readonly kind: 'given'; readonly id: string }
  /** How the payer uses its channel (PA18). */
  readonly channelMode: 'strict' | 'unique-ceiling'
  /** The payer's own signature under a refund; who made it is not judged yet (PA19.2). */
  readonly refund:
    | { readonly kind: 'none' }
    | { readonly kind: 'signed'; readonly nonce: bigint; readonly signature: EvmSignature }
}

const identifierForm = /^[a-zA-Z0-9_-]{16,128}$/
const wordForm = /^[0-9a-f]{64}$/

/**
 * Reads what stands in `extensions`; extensions that we do not know are ignored.
 *
 * @throws PaymentError `payment-malformed`, `payment-signature-malformed`, or `payment-extension-mismatch` for an `info`
 * other than ours.
 */
export function parsePaymentExtensions({ extensions }: PresentedPayment): PaymentExtensions {
  return {
    binding: parseBinding(readInfo(extensions, 'countersign-request')),
    identifier: parseIdentifier(readInfo(extensions, 'payment-identifier')),
    channelMode: parseMode(readInfo(extensions, 'countersign-concurrency')),
    refund: parseRefund(readInfo(extensions, 'countersign-refund')),
  }
}

function readInfo(extensions: JsonMap, name: string): JsonMap | undefined {
  if (!extensions.has(name)) return undefined
  const extension = extensions.get(name)
  const info = isJsonMap(extension) ? extension.get('info') : undefined
  if (!isJsonMap(info)) throw malformed(`The extension ${name} has no info.`)
  return info
}

function parseBinding(info: JsonMap | undefined): PaymentExtensions['binding'] {
  if (info === undefined) return { kind: 'none' }
  if (info.get('version') !== 1) throw mismatch('countersign-request')
  if (!info.has('requestHash') && !info.has('salt')) return { kind: 'none' }
  return {
    kind: 'request',
    requestHash: readDigest(info, 'requestHash'),
    salt: readDigest(info, 'salt'),
  }
}

function readDigest(info: JsonMap, name: string): Uint8Array {
  const value = info.get(name)
  const bytes = typeof value === 'string' && wordForm.test(value) ? fromHex(value) : undefined
  if (bytes === undefined) throw malformed(`The member ${name} is not 64 lower-case hex digits.`)
  return bytes
}

function parseIdentifier(info: JsonMap | undefined): PaymentExtensions['identifier'] {
  if (info === undefined) return { kind: 'none' }
  if (info.get('required') !== false) throw mismatch('payment-identifier')
  if (!info.has('id')) return { kind: 'none' }
  const id = info.get('id')
  if (typeof id !== 'string' || !identifierForm.test(id)) {
    throw malformed('The payment identifier is malformed.')
  }
  return { kind: 'given', id }
}

/** Not advertised, so that stock clients do not echo it: who sends it must mean it, and say nothing else. */
function parseMode(info: JsonMap | undefined): PaymentExtensions['channelMode'] {
  if (info === undefined) return 'strict'
  if (info.size !== 1 || info.get('mode') !== 'unique-ceiling') {
    throw mismatch('countersign-concurrency')
  }
  return 'unique-ceiling'
}

function parseRefund(info: JsonMap | undefined): PaymentExtensions['refund'] {
  if (info === undefined) return { kind: 'none' }
  if (info.get('version') !== 1) throw mismatch('countersign-refund')
  if (info.size !== 3) throw malformed('The refund has other members than nonce and signature.')
  const nonce = readDecimal(info, 'nonce')
  return { kind: 'signed', nonce, signature: parseEvmSignature(info.get('signature')) }
}

function mismatch(name: string): PaymentError {
  return new PaymentError('payment-extension-mismatch', `Other than offered: extension ${name}.`)
}
