/** Signs an EIP-3009 payment that is bound to one request, and writes it as an x402 v2 header. */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { JsonMap, JsonValue } from '@countersign/protocol/bytes/json-decode'
import { createPaymentNonce } from '@countersign/protocol/payment/request-nonce'
import { ClientError } from '../errors.ts'
import { isJsonMap, jsonMap, toBase64Json } from './base64-json.ts'
import type { ExactOffer } from './payment-required.ts'

type Hex = `0x${string}`

/** The EIP-712 typed data of TransferWithAuthorization. */
export type TransferTypedData = {
  readonly domain: {
    readonly name: string
    readonly version: string
    readonly chainId: number
    readonly verifyingContract: Hex
  }
  readonly types: typeof transferTypes
  readonly primaryType: 'TransferWithAuthorization'
  readonly message: {
    readonly from: Hex
    readonly to: Hex
    readonly value: bigint
    readonly validAfter: bigint
    readonly validBefore: bigint
    readonly nonce: Hex
  }
}

/** Who pays: a viem `LocalAccount` fits, and so does anything that signs EIP-712 typed data for its address. */
export type PaymentSigner = {
  readonly address: Hex
  signTypedData(typedData: TransferTypedData): Promise<Hex>
}

/** A signed payment. It moves money as soon as anybody shows it to the chain. */
export type SignedPayment = {
  /** Value of PAYMENT-SIGNATURE. */
  readonly header: string
  /** The EIP-3009 nonce, 32 bytes: the payment id in the receipt. */
  readonly nonce: Uint8Array
  readonly offer: ExactOffer
  readonly binding: PaymentBinding
}

/** What ties a payment to a request. */
export type PaymentBinding = {
  readonly requestHash: Uint8Array
  /** 32 fresh random bytes: the same request can be bought again with another salt. */
  readonly salt: Uint8Array
  /** What is sent as `x-receipt-nonce` whenever this payment is shown. */
  readonly receiptNonce: Uint8Array
}

/** Bytes of the nonce that a receipt repeats. */
export const receiptNonceBytes = 16

const transferTypes = {
  TransferWithAuthorization: [
    { name: 'from', type: 'address' },
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' },
    { name: 'validBefore', type: 'uint256' },
    { name: 'nonce', type: 'bytes32' },
  ],
} as const

const requestExtension = 'countersign-request'
const signatureForm = /^0x(?:[0-9a-fA-F]{2}){65,512}$/
const addressForm = /^0x[0-9a-fA-F]{40}$/
const chainForm = /^eip155:([1-9][0-9]{0,14})$/

/**
 * Signs a payment of this offer for the request with this hash.
 *
 * @param nowMs - the payment is valid from the epoch until `maxTimeoutSeconds` after this time.
 * @throws ClientError `signer-failed`, `options-invalid`.
 */
export async function signPayment(
  signer: PaymentSigner,
  required: {
    readonly offer: ExactOffer
    readonly resource: JsonValue | undefined
    readonly extensions: JsonMap | undefined
  },
  binding: PaymentBinding,
  nowMs: number,
): Promise<SignedPayment> {
  const { offer } = required
  const nonce = createPaymentNonce(binding.requestHash, binding.salt)
  const validBefore = Math.floor(nowMs / 1000) + offer.maxTimeoutSeconds
  const typedData = createTypedData(signer.address, offer, nonce, validBefore)
  const signature = await sign(signer, typedData)
  const { from, to } = typedData.message
  const payload = jsonMap({
    signature,
    authorization: jsonMap({
      from,
      to,
      value: offer.amountAtomic.toString(),
      validAfter: '0',
      validBefore: validBefore.toString(),
      nonce: typedData.message.nonce,
    }),
  })
  const header = toBase64Json(
    new Map<string, JsonValue>([
      ['x402Version', 2],
      ...(required.resource === undefined ? [] : [['resource', required.resource] as const]),
      ['accepted', offer.json],
      ['payload', payload],
      ['extensions', bindRequest(required.extensions, binding)],
    ]),
  )
  return { header, nonce, offer, binding }
}

function createTypedData(
  from: Hex,
  offer: ExactOffer,
  nonce: Uint8Array,
  validBefore: number,
): TransferTypedData {
  const [, chainId] = chainForm.exec(offer.network) ?? []
  if (chainId === undefined) {
    throw new ClientError('options-invalid', { detail: `${offer.network} is no EVM network` })
  }
  return {
    domain: {
      name: offer.tokenName,
      version: offer.tokenVersion,
      chainId: Number(chainId),
      verifyingContract: hex(offer.asset),
    },
    types: transferTypes,
    primaryType: 'TransferWithAuthorization',
    message: {
      from: hex(from),
      to: hex(offer.payTo),
      value: offer.amountAtomic,
      validAfter: 0n,
      validBefore: BigInt(validBefore),
      nonce: `0x${toHex(nonce)}`,
    },
  }
}

async function sign(signer: PaymentSigner, typedData: TransferTypedData): Promise<string> {
  let signature: unknown
  try {
    signature = await signer.signTypedData(typedData)
  } catch (cause) {
    throw new ClientError('signer-failed', { cause })
  }
  if (typeof signature !== 'string' || !signatureForm.test(signature)) {
    throw new ClientError('signer-failed', { detail: 'no signature in hex' })
  }
  return signature
}

/** What the gateway advertised is echoed, as x402 asks; ours says how the nonce was made. */
function bindRequest(
  extensions: JsonMap | undefined,
  { requestHash, salt }: PaymentBinding,
): JsonValue {
  const advertised = extensions?.get(requestExtension)
  const info = isJsonMap(advertised) ? advertised.get('info') : undefined
  return new Map<string, JsonValue>([
    ...(extensions ?? []),
    [
      requestExtension,
      jsonMap({
        info: new Map<string, JsonValue>([
          ...(isJsonMap(info) ? info : []),
          ['requestHash', toHex(requestHash)],
          ['salt', toHex(salt)],
        ]),
      }),
    ],
  ])
}

function hex(address: string): Hex {
  if (!addressForm.test(address)) {
    throw new ClientError('options-invalid', { detail: `${address} is no address` })
  }
  return `0x${address.slice(2)}`
}
