/** Signs an EIP-3009 payment that is bound to one request (spec/payment.md PA5, PA6). */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { jsonMap } from './base64-json.ts'
import {
  createBoundNonce,
  encodePaymentHeader,
  requestMembers,
  type PaymentBinding,
  type PaymentTerms,
} from './payment-header.ts'
import type { ExactOffer } from './payment-required.ts'
import {
  readChainId,
  readSigner,
  signTypedData,
  type PaymentSigner,
  type PaymentTypedData,
} from './sign-typed-data.ts'

/** A payment that moves money as soon as anybody shows it to the chain. */
export type SignedTransfer = {
  /** Value of PAYMENT-SIGNATURE. */
  readonly header: string
  /** The EIP-3009 nonce, 32 bytes: the payment id in the receipt. */
  readonly paymentId: Uint8Array
}

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

/**
 * Signs a payment of this offer for the request with this hash.
 *
 * @param nowMs - the payment is valid from the epoch until `maxTimeoutSeconds` after this time.
 * @throws ClientError `signer-failed`, `options-invalid`.
 */
export async function signTransfer(
  signer: PaymentSigner,
  terms: PaymentTerms<ExactOffer>,
  binding: PaymentBinding,
  nowMs: number,
): Promise<SignedTransfer> {
  const { offer } = terms
  const paymentId = createBoundNonce(binding)
  const validBefore = Math.floor(nowMs / 1000) + offer.maxTimeoutSeconds
  readSigner(signer)
  const message = {
    from: signer.address,
    to: offer.payTo,
    value: offer.amountAtomic,
    validAfter: 0n,
    validBefore: BigInt(validBefore),
    nonce: `0x${toHex(paymentId)}`,
  } as const
  const typedData: PaymentTypedData = {
    domain: {
      name: offer.tokenName,
      version: offer.tokenVersion,
      chainId: readChainId(offer.network),
      verifyingContract: offer.asset,
    },
    types: transferTypes,
    primaryType: 'TransferWithAuthorization',
    message,
  }
  const signature = await signTypedData(signer, typedData)
  const payload = jsonMap({
    signature,
    authorization: jsonMap({
      from: message.from,
      to: message.to,
      value: `${message.value}`,
      validAfter: '0',
      validBefore: `${validBefore}`,
      nonce: message.nonce,
    }),
  })
  return { header: encodePaymentHeader(terms, payload, requestMembers(binding)), paymentId }
}
