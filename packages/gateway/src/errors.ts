/** Every answer of our own: code, status, OpenAI error type and what the caller should do. One closed table. */
import { describePaymentCode, type PaymentCode } from '@countersign/protocol/payment/payment-code'
import { paymentErrorTexts } from './payment-errors.ts'

type Row = {
  readonly status: number
  readonly type:
    | 'invalid_request_error'
    | 'authentication_error'
    | 'payment_error'
    | 'rate_limit_error'
    | 'api_error'
  readonly title: string
  readonly hint: string
}

const table = {
  'api-key-budget-exhausted': {
    status: 402,
    type: 'payment_error',
    title: 'The budget of this API key is used up.',
    hint: 'Raise the budget of the key, or use another key.',
  },
  'api-key-daily-budget-exhausted': {
    status: 402,
    type: 'payment_error',
    title: 'The budget of this API key for today is used up.',
    hint: 'Call again after midnight UTC, raise the daily budget of the key, or use another key.',
  },
  'api-key-invalid': {
    status: 401,
    type: 'authentication_error',
    title: 'This API key is not known or was revoked.',
    hint: 'Send Authorization: Bearer <key> with a key of this gateway.',
  },
  'attestation-unavailable': {
    status: 503,
    type: 'api_error',
    title: 'There is no evidence for the keys of this gateway at the moment.',
    hint: 'Try again later; nothing was charged.',
  },
  'body-encoded': {
    status: 415,
    type: 'invalid_request_error',
    title: 'Request bodies must not be compressed.',
    hint: 'Send the body without Content-Encoding.',
  },
  'body-too-large': {
    status: 413,
    type: 'invalid_request_error',
    title: 'The request body is larger than the limit.',
    hint: 'Send a smaller body.',
  },
  'client-gone': {
    status: 499,
    type: 'invalid_request_error',
    title: 'The caller left before the answer began.',
    hint: 'Keep the connection open until the answer arrives.',
  },
  'concurrency-limited': {
    status: 429,
    type: 'rate_limit_error',
    title: 'This payer has as many calls under way as it may have.',
    hint: 'Wait for the end of one of them, then try again; nothing was charged.',
  },
  'headers-too-large': {
    status: 431,
    type: 'invalid_request_error',
    title: 'The headers of the request are larger than 16 KiB.',
    hint: 'Send fewer or smaller headers.',
  },
  'idempotency-key-guessable': {
    status: 400,
    type: 'invalid_request_error',
    title: 'This idempotency key could be guessed, and nothing else tells callers apart here.',
    hint: 'Use at least 20 random characters, such as a UUID.',
  },
  'sealed-key-unknown': {
    status: 422,
    type: 'invalid_request_error',
    title: 'The call is sealed to a key that this gateway does not hold.',
    hint: 'Fetch /v1/attestation and seal the call to the key of the current keyset.',
  },
  'sealed-malformed': {
    status: 400,
    type: 'invalid_request_error',
    title: 'The sealed call cannot be opened, or is not whole.',
    hint: 'Seal it as spec/sealed.md says.',
  },
  'sealed-replayed': {
    status: 409,
    type: 'invalid_request_error',
    title: 'This sealed call was made already, or is too old to know.',
    hint: 'Seal the call anew, with a clock that is right.',
  },
  'idempotency-key-reused': {
    status: 409,
    type: 'invalid_request_error',
    title: 'This idempotency key was used with another request.',
    hint: 'Use a new key for a new request.',
  },
  'idempotency-key-in-progress': {
    status: 409,
    type: 'invalid_request_error',
    title: 'The call with this idempotency key has not ended yet.',
    hint: 'Try again after the time in Retry-After.',
  },
  'internal-error': {
    status: 500,
    type: 'api_error',
    title: 'The gateway failed.',
    hint: 'Try again; nothing was charged.',
  },
  'receipt-failed': {
    status: 500,
    type: 'api_error',
    title: 'The gateway failed after the payment of this call had ended.',
    hint: 'The call may have been charged, and has no receipt. Ask the operator before you pay again.',
  },
  'method-not-allowed': {
    status: 405,
    type: 'invalid_request_error',
    title: 'This path does not take this method.',
    hint: 'See the Allow header.',
  },
  'model-not-found': {
    status: 404,
    type: 'invalid_request_error',
    title: 'No such model here.',
    hint: 'GET /v1/models lists the models.',
  },
  'credential-in-query': {
    status: 400,
    type: 'invalid_request_error',
    title: 'Keys do not belong into a URL.',
    hint: 'Send the key in a header: Authorization, x-api-key or x-goog-api-key.',
  },
  'reference-not-found': {
    status: 404,
    type: 'invalid_request_error',
    title: 'The request names something that no earlier call of this payer made here.',
    hint: 'Pay as the earlier call did, or send its x-receipt-token; or send the content itself.',
  },
  'service-not-priced': {
    status: 400,
    type: 'invalid_request_error',
    title: 'The request asks for a service tier, speed or place that has no price here.',
    hint: 'Leave out service_tier, speed and inference_geo.',
  },
  'shutting-down': {
    status: 503,
    type: 'api_error',
    title: 'This gateway is being stopped.',
    hint: 'Try again on a new connection; nothing was charged.',
  },
  'shared-account': {
    status: 400,
    type: 'invalid_request_error',
    title: 'The request uses what all callers of the operator’s account would share.',
    hint: 'Send the content itself.',
  },
  overloaded: {
    status: 503,
    type: 'api_error',
    title: 'Too many calls at the moment.',
    hint: 'Try again after the time in Retry-After.',
  },
  'path-not-found': {
    status: 404,
    type: 'invalid_request_error',
    title: 'No such path here.',
    hint: 'Base URLs: OpenAI clients end in /v1, once; Anthropic’s and Google’s are the origin alone.',
  },
  'answer-gone': {
    status: 409,
    type: 'invalid_request_error',
    title: 'The call with this idempotency key was answered, and its answer is no longer kept.',
    hint: 'Use a new key to call again.',
  },
  'payment-unavailable': {
    status: 503,
    type: 'api_error',
    title: 'Payments cannot be judged at the moment.',
    hint: 'Try again after the time in Retry-After; nothing was taken.',
  },
  'payment-already-used': {
    status: 402,
    type: 'payment_error',
    title: 'This payment has bought a call already.',
    hint: 'Sign a new payment from the offer in PAYMENT-REQUIRED.',
  },
  'payment-in-progress': {
    status: 402,
    type: 'payment_error',
    title: 'The call that this payment buys has not ended yet.',
    hint: 'Wait for the first call, or sign a new payment.',
  },
  'payment-invalid': {
    status: 402,
    type: 'payment_error',
    title: 'The payment does not hold.',
    hint: 'Sign a new payment from the offer in PAYMENT-REQUIRED.',
  },
  'payment-malformed': {
    status: 400,
    type: 'payment_error',
    title: 'The PAYMENT-SIGNATURE header cannot be read.',
    hint: 'Send one x402 v2 payment payload in base64.',
  },
  'payment-offer-mismatch': {
    status: 402,
    type: 'payment_error',
    title: 'The payment was made for another offer.',
    hint: 'Sign a new payment from the offer in PAYMENT-REQUIRED.',
  },
  'payment-required': {
    status: 402,
    type: 'payment_error',
    title: 'Payment required.',
    hint: 'Pay one of the offers in the PAYMENT-REQUIRED header.',
  },
  'payment-request-mismatch': {
    status: 402,
    type: 'payment_error',
    title: 'The payment is bound to another request.',
    hint: 'Sign a new payment for this request.',
  },
  'payment-settlement-failed': {
    status: 402,
    type: 'payment_error',
    title: 'The payment could not be settled.',
    hint: 'Check the balance, then sign a new payment.',
  },
  'payment-settlement-unknown': {
    status: 402,
    type: 'payment_error',
    title: 'The settlement was not confirmed in time.',
    hint: 'Send the same request with the same payment again: it is not paid twice.',
  },
  'rate-limited': {
    status: 429,
    type: 'rate_limit_error',
    title: 'This payer calls more often than it may.',
    hint: 'Try again after the time in Retry-After; nothing was charged.',
  },
  'request-malformed': {
    status: 400,
    type: 'invalid_request_error',
    title: 'The request cannot be read.',
    hint: 'See the detail.',
  },
  'request-timeout': {
    status: 408,
    type: 'invalid_request_error',
    title: 'The request did not arrive in time.',
    hint: 'Send the whole request at once.',
  },
  'request-not-translatable': {
    status: 400,
    type: 'invalid_request_error',
    title: 'The request cannot be translated for this model without changing it.',
    hint: 'Leave it out, or call the model on the paths of its own provider.',
  },
  'answer-not-translatable': {
    status: 502,
    type: 'api_error',
    title: 'The provider’s answer has no form on this path.',
    hint: 'Call the model on the paths of its own provider; nothing was charged.',
  },
  'upstream-response-not-found': {
    status: 404,
    type: 'invalid_request_error',
    title: 'No bytes of a provider are kept for this receipt and this token.',
    hint: 'They are kept for translated calls, for the time in the operator’s configuration.',
  },
  'receipt-not-found': {
    status: 404,
    type: 'invalid_request_error',
    title: 'No such receipt here.',
    hint: 'Receipts are kept for the time in the operator’s configuration.',
  },
  'unknown-payer-limited': {
    status: 429,
    type: 'rate_limit_error',
    title: 'Too many payments without money behind them were presented.',
    hint: 'Try again after the time in Retry-After; nothing was charged and nothing was recorded.',
  },
  'upstream-credentials': {
    status: 502,
    type: 'api_error',
    title: 'The provider refused the operator’s credentials.',
    hint: 'The operator must act; nothing was charged.',
  },
  'upstream-failed': {
    status: 502,
    type: 'api_error',
    title: 'The provider’s answer failed or made no sense.',
    hint: 'Try again; nothing was charged.',
  },
  'upstream-timeout': {
    status: 504,
    type: 'api_error',
    title: 'The provider did not answer in time.',
    hint: 'Try again; nothing was charged.',
  },
  'upstream-unreachable': {
    status: 502,
    type: 'api_error',
    title: 'The provider cannot be reached.',
    hint: 'Try again; nothing was charged.',
  },
} as const

/** All codes of our own answers; those of metered payments stand in spec/payment.md PA23. */
export type GatewayErrorCode = keyof typeof table | PaymentCode

/** What a code means. */
export function describeGatewayError(code: GatewayErrorCode): Row {
  if (isOwnCode(code)) return table[code]
  const { status } = describePaymentCode(code)
  const [title, hint] = paymentErrorTexts[code]
  return { status, type: status === 503 ? 'api_error' : 'payment_error', title, hint }
}

function isOwnCode(code: GatewayErrorCode): code is keyof typeof table {
  return Object.hasOwn(table, code)
}
