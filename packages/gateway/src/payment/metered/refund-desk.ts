/** Refunds of channels: a URL of their own, which stock clients read and pay by GET (spec/payment.md PA19.2). */
import { createChannelOffer } from '@countersign/protocol/payment/channel-payload'
import {
  describePaymentCode,
  PaymentError,
  type PaymentCode,
} from '@countersign/protocol/payment/payment-code'
import { parsePaymentHeader } from '@countersign/protocol/payment/presented-payment'
import type { Refusal } from '../admission.ts'
import type { ChannelContext } from '../channel/channel-context.ts'
import type { CorrectiveExtra } from '../channel/channel-state.ts'
import { refundChannel } from '../channel/refund.ts'
import { encodeOffers } from '../exact/offer.ts'
import { toAccepts } from './metered-offers.ts'
import { describeRefund } from './payment-response.ts'

/** Where payers ask for what they did not use. */
export const refundPath = '/v1/payments/refund'

/** What a request for a refund is answered. */
export type RefundAnswer =
  | { readonly kind: 'sent'; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** Takes requests for refunds. */
export type RefundDesk = {
  /** Without a payment: the offer. With one: the refund, once its transaction is sent. */
  answer(header: string | undefined): Promise<RefundAnswer>
}

/** The desk of one gateway. */
export function createRefundDesk(context: ChannelContext, resourceBaseUrl: string): RefundDesk {
  const resourceUrl = `${resourceBaseUrl}${refundPath}`
  // A refund buys nothing.
  const offer = createChannelOffer(context.terms, 0n, resourceUrl)
  const accepts = (correction?: CorrectiveExtra): ReturnType<typeof toAccepts> =>
    toAccepts({ channel: offer, upto: undefined, resourceUrl }, correction)

  function refuse(code: PaymentCode, detail: string, correction?: CorrectiveExtra): RefundAnswer {
    const { status, reason } = describePaymentCode(code)
    const headers = status === 402 ? encodeOffers(resourceUrl, accepts(correction), reason) : {}
    const refusal = { code, detail: detail === reason ? '' : detail, headers }
    return { kind: 'refused', refusal }
  }

  return {
    answer: async (header) => {
      if (header === undefined) {
        const headers = encodeOffers(resourceUrl, accepts(), 'payment-required')
        return { kind: 'refused', refusal: { code: 'payment-required', detail: '', headers } }
      }
      try {
        const outcome = await refundChannel(context, parsePaymentHeader(header), offer)
        if (outcome.kind === 'refused') {
          return refuse(outcome.code, outcome.detail, outcome.correction)
        }
        return { kind: 'sent', headers: describeRefund(context.terms.network, outcome) }
      } catch (error) {
        if (!(error instanceof PaymentError)) throw error
        return refuse(error.code, error.detail)
      }
    },
  }
}
