/** Every reason to refuse a metered payment: one closed table (spec/payment.md PA23). */

/** 400: the caller's program is wrong. 402: another payment would do. 503: try again later. */
export type PaymentStatus = 400 | 402 | 503

// `error` of the 402 answer is what stock clients compare: the reason of x402 where it has one.
const table = {
  'chain-nodes-disagree': [503, 'verification_state_unavailable'],
  'chain-unreachable': [503, 'verification_state_unavailable'],
  'channel-authorizer-mismatch': [402, 'invalid_batch_settlement_evm_receiver_authorizer_mismatch'],
  'channel-balance-exceeded': [402, 'invalid_batch_settlement_evm_cumulative_exceeds_balance'],
  'channel-busy': [402, 'invalid_batch_settlement_evm_channel_busy'],
  'channel-ceiling-mismatch': [402, 'invalid_batch_settlement_evm_cumulative_amount_mismatch'],
  'channel-ceiling-too-low': [402, 'invalid_batch_settlement_evm_charge_exceeds_signed_cumulative'],
  'channel-ceiling-used': [402, 'invalid_batch_settlement_evm_cumulative_amount_mismatch'],
  'channel-chain-stale': [503, 'invalid_batch_settlement_evm_verification_state_unavailable'],
  'channel-delay-mismatch': [402, 'invalid_batch_settlement_evm_withdraw_delay_mismatch'],
  'channel-frozen': [402, 'invalid_batch_settlement_evm_cumulative_below_claimed'],
  'channel-id-mismatch': [402, 'invalid_batch_settlement_evm_channel_id_mismatch'],
  'channel-payer-is-contract': [402, 'countersign_payer_authorizer_required'],
  'channel-unknown': [402, 'invalid_batch_settlement_evm_channel_not_found'],
  'channel-withdrawing': [402, 'invalid_batch_settlement_evm_insufficient_balance'],
  'charge-key-untrusted': [503, 'countersign_charge_key_untrusted'],
  'deposit-below-minimum': [402, 'invalid_batch_settlement_evm_deposit_below_min_deposit'],
  'deposit-pending': [503, 'settlement_pending'],
  'deposit-refused': [402, 'invalid_batch_settlement_evm_deposit_simulation_failed'],
  'payer-exposure-exceeded': [402, 'countersign_exposure_exceeded'],
  'payer-funds-exceeded': [402, 'insufficient_funds'],
  'payment-already-used': [402, 'invalid_transaction_state'],
  'payment-amount-mismatch': [402, 'permit2_amount_mismatch'],
  'payment-asset-mismatch': [402, 'invalid_batch_settlement_evm_token_mismatch'],
  'payment-expired': [402, 'permit2_deadline_expired'],
  'payment-extension-mismatch': [402, 'extension_echo_mismatch'],
  'payment-facilitator-mismatch': [402, 'upto_facilitator_mismatch'],
  'payment-in-progress': [402, 'duplicate_settlement'],
  'payment-malformed': [400, 'invalid_payload'],
  'payment-network-mismatch': [402, 'invalid_network'],
  'payment-not-yet-valid': [402, 'permit2_not_yet_valid'],
  'payment-offer-mismatch': [402, 'invalid_payment_requirements'],
  'payment-payee-mismatch': [402, 'invalid_permit2_recipient_mismatch'],
  'payment-request-mismatch': [402, 'invalid_payment_requirements'],
  'payment-resource-mismatch': [402, 'invalid_payment_requirements'],
  'payment-scheme-mismatch': [402, 'unsupported_scheme'],
  'payment-signature-invalid': [402, 'invalid_permit2_signature'],
  'payment-signature-malformed': [402, 'invalid_permit2_signature'],
  'payment-spender-mismatch': [402, 'invalid_permit2_spender'],
  'payment-version-unsupported': [400, 'invalid_x402_version'],
  'refund-amount-invalid': [402, 'invalid_batch_settlement_evm_refund_amount_invalid'],
  'refund-nonce-mismatch': [402, 'countersign_refund_nonce_mismatch'],
  'refund-signature-required': [402, 'countersign_refund_signature_required'],
} as const

/** All codes. */
export type PaymentCode = keyof typeof table

/** Every row of the table, in ascending order of the codes. */
export const paymentCodes: readonly (readonly [string, PaymentStatus, string])[] = Object.entries(
  table,
).map(([code, [status, reason]]) => [code, status, reason])

/** Whether this is one of them. */
export function isPaymentCode(code: string): code is PaymentCode {
  return Object.hasOwn(table, code)
}

/** The HTTP status of a code, and the `error` of the 402 answer. */
export function describePaymentCode(code: PaymentCode): {
  readonly status: PaymentStatus
  readonly reason: string
} {
  const [status, reason] = table[code]
  return { status, reason }
}

/** The only error that the parsers of payments throw for what they were given. `detail` may go to the caller. */
export class PaymentError extends Error {
  readonly code: PaymentCode
  readonly detail: string

  constructor(code: PaymentCode, detail: string, options?: { cause?: unknown }) {
    super(`${code}: ${detail}`, options)
    this.name = 'PaymentError'
    this.code = code
    this.detail = detail
  }
}
