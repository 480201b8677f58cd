/** Why a facilitator refuses, in the words of x402 (spec/payment.md PA27.6). */
import type { PaymentCode } from '@countersign/protocol/payment/payment-code'
import { describePaymentCode, PaymentError } from '@countersign/protocol/payment/payment-code'
import { BaseError } from 'viem'
import { isDisagreement } from '../payment/chain-nodes/nodes-disagree.ts'
import { ChainUnreachable } from '../payment/exact/chain.ts'
import { PaymentRefused } from '../payment/exact/refused.ts'
import { MaybeSent, NotSent } from '../payment/exact/sender.ts'

/** A scheme that is settled here. */
export type SchemeName = 'exact' | 'upto' | 'batch-settlement'

/**
 * 200: the payment is at fault; its server answers 402. 400, 401: the server is. 429, 503: later. Stock servers take
 * every other status than 200 for a failure of the facilitator.
 */
export type RefusalStatus = 200 | 400 | 401 | 404 | 429 | 503

/** Thrown by every step; becomes the answer. The message goes to the client, and names nothing but members. */
export class FacilitatorRefusal extends Error {
  readonly reason: string
  readonly status: RefusalStatus
  readonly retryAfterSeconds: number | undefined
  /** Empty until it was read. */
  readonly network: string
  /** The transaction that used up the payment, or that is on its way. */
  readonly transaction: string | undefined

  constructor(
    reason: string,
    message: string,
    {
      status = 200,
      ...more
    }: {
      readonly status?: RefusalStatus
      readonly retryAfterSeconds?: number
      readonly transaction?: string | undefined
      readonly network?: string
      readonly cause?: unknown
    } = {},
  ) {
    super(message, { cause: more.cause })
    this.name = 'FacilitatorRefusal'
    this.reason = reason
    this.status = status
    this.retryAfterSeconds = more.retryAfterSeconds
    this.transaction = more.transaction
    this.network = more.network ?? ''
  }
}

/** The same, of this network. */
export function ofNetwork(refusal: FacilitatorRefusal, network: string): FacilitatorRefusal {
  const { reason, message, status, retryAfterSeconds, transaction } = refusal
  return new FacilitatorRefusal(reason, message, {
    status,
    transaction,
    network,
    cause: refusal,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  })
}

type Reasons = ReadonlyMap<PaymentCode, string>

const uptoReasons: Reasons = new Map<PaymentCode, string>([
  ['payment-asset-mismatch', 'permit2_token_mismatch'],
  ['payer-funds-exceeded', 'permit2_insufficient_balance'],
])

const batch = 'invalid_batch_settlement_evm_'
const batchReasons: Reasons = new Map<PaymentCode, string>([
  ['payment-malformed', `${batch}payload_type`],
  ['payment-payee-mismatch', `${batch}receiver_mismatch`],
  ['payment-amount-mismatch', `${batch}permit2_amount_mismatch`],
  ['payment-spender-mismatch', `${batch}permit2_invalid_spender`],
  ['payment-signature-invalid', `${batch}voucher_signature`],
  ['payment-signature-malformed', `${batch}voucher_signature`],
  ['payment-expired', `${batch}payload_authorization_valid_before`],
  ['payment-not-yet-valid', `${batch}payload_authorization_valid_after`],
])

const none: Reasons = new Map()

/**
 * What a step threw, as a refusal.
 *
 * @throws the error itself when it is ours.
 */
export function toRefusal(error: unknown, scheme: SchemeName): FacilitatorRefusal {
  if (error instanceof FacilitatorRefusal) return error
  if (error instanceof PaymentError) {
    const reasons = { exact: none, upto: uptoReasons, 'batch-settlement': batchReasons }[scheme]
    const reason = reasons.get(error.code) ?? describePaymentCode(error.code).reason
    return new FacilitatorRefusal(reason, error.detail)
  }
  // Thrown by the reader of `exact`, for what has not its form.
  if (error instanceof PaymentRefused) {
    return new FacilitatorRefusal('invalid_payload', error.detail)
  }
  const isChain =
    error instanceof ChainUnreachable ||
    error instanceof BaseError ||
    error instanceof NotSent ||
    error instanceof MaybeSent
  if (!isChain) throw error
  const message = isDisagreement(error)
    ? 'The nodes of the chain do not say the same; nothing was settled.'
    : 'The chain does not answer; nothing was settled.'
  return new FacilitatorRefusal('verification_state_unavailable', message, {
    status: 503,
    retryAfterSeconds: 5,
    cause: error,
  })
}
