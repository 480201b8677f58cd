/** Payers: the stock x402 client, and one that binds its payment to a request as our client does. */
import { randomBytes } from 'node:crypto'
import { decodePaymentRequiredHeader, encodePaymentSignatureHeader } from '@x402/core/http'
import type { PaymentPayload, PaymentRequired, PaymentRequirements } from '@x402/core/types'
import { authorizationTypes } from '@x402/evm'
import { ExactEvmScheme } from '@x402/evm/exact/client'
import { x402Client } from '@x402/fetch'
import type { PrivateKeyAccount } from 'viem/accounts'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { createPaymentNonce, hashRequest } from '@countersign/protocol/payment/request-nonce'
import type { Admission, AdmissionRequest, PaymentScheme } from '../../src/payment/admission.ts'
import { expectRefused } from './requests.ts'

/** The unmodified client of @x402/fetch for this account. */
export function createStockClient(account: PrivateKeyAccount): x402Client {
  return new x402Client().register('eip155:*', new ExactEvmScheme(account))
}

/** The quote that an unpaid call of this request gets. */
export async function readQuote(
  scheme: PaymentScheme,
  request: AdmissionRequest,
): Promise<PaymentRequired> {
  const headers = { ...request.headers }
  delete headers['payment-signature']
  return quoteOf(await scheme.admit({ ...request, headers }))
}

/** The quote in a refusal. */
function quoteOf(admission: Admission): PaymentRequired {
  return decodePaymentRequiredHeader(expectRefused(admission).headers['payment-required'] ?? '')
}

/** What a stock client signs for this request. */
export async function signStockPayment(
  scheme: PaymentScheme,
  account: PrivateKeyAccount,
  request: AdmissionRequest,
): Promise<PaymentPayload> {
  return createStockClient(account).createPaymentPayload(await readQuote(scheme, request))
}

/** The request with a payment in its header. */
export function withPayment(request: AdmissionRequest, payment: unknown): AdmissionRequest {
  const header = Buffer.from(JSON.stringify(payment)).toString('base64')
  return {
    ...request,
    receiptId: randomBytes(16),
    headers: { ...request.headers, 'payment-signature': header },
  }
}

/** A payment whose nonce is derived from the request, as spec/payment.md PA6 has it. */
export async function signBoundPayment(
  scheme: PaymentScheme,
  account: PrivateKeyAccount,
  request: AdmissionRequest,
): Promise<PaymentPayload> {
  const quote = await readQuote(scheme, request)
  const [accepted] = quote.accepts
  if (accepted === undefined) throw new Error('the quote has no offer')
  const requestHash = hashRequest(request.method, request.path, request.bodyDigest())
  const salt = randomBytes(32)
  const payload = await signAuthorization(account, accepted, {
    nonce: `0x${toHex(createPaymentNonce(requestHash, salt))}`,
  })
  const info = { version: 1, requestHash: toHex(requestHash), salt: toHex(salt) }
  return {
    x402Version: 2,
    resource: quote.resource,
    accepted,
    payload,
    extensions: { ...quote.extensions, 'countersign-request': { info } },
  }
}

/** An authorization for an offer, signed with these members instead of the usual ones. */
export async function signAuthorization(
  account: PrivateKeyAccount,
  offer: PaymentRequirements,
  overrides: Partial<Record<'to' | 'value' | 'validAfter' | 'validBefore' | 'nonce', string>> = {},
): Promise<{ readonly signature: string; readonly authorization: Record<string, string> }> {
  const authorization = {
    from: account.address,
    to: offer.payTo,
    value: offer.amount,
    validAfter: '0',
    validBefore: String(Math.floor(Date.now() / 1000) + 120),
    nonce: `0x${toHex(randomBytes(32))}`,
    ...overrides,
  }
  const signature = await account.signTypedData({
    domain: {
      name: String(offer.extra['name']),
      version: String(offer.extra['version']),
      chainId: Number(offer.network.split(':')[1]),
      verifyingContract: hex(offer.asset),
    },
    types: authorizationTypes,
    primaryType: 'TransferWithAuthorization',
    message: {
      from: hex(authorization.from),
      to: hex(authorization.to),
      value: BigInt(authorization.value),
      validAfter: BigInt(authorization.validAfter),
      validBefore: BigInt(authorization.validBefore),
      nonce: hex(authorization.nonce),
    },
  })
  return { signature, authorization }
}

/** The header of a payload, by the package's own encoder. */
export function encodePayment(payment: PaymentPayload): string {
  return encodePaymentSignatureHeader(payment)
}

function hex(text: string): `0x${string}` {
  return `0x${text.slice(2)}`
}
