/** The offers of the metered schemes for one call, and the 402 that carries them (spec/payment.md PA14.1, PA22). */
import type { PaymentRequirements } from '@x402/core/types'
import {
  createChannelOffer,
  type ChannelTerms,
} from '@countersign/protocol/payment/channel-payload'
import type { MeteredOffer } from '@countersign/protocol/payment/metered-offer'
import { createUptoOffer, type UptoTerms } from '@countersign/protocol/payment/upto-payload'
import type { CorrectiveExtra } from '../channel/channel-state.ts'

/** The terms of what is configured. */
export type MeteredTermsSet = {
  readonly upto: UptoTerms | undefined
  readonly channel: ChannelTerms | undefined
  /** Origin of the gateway as its callers see it, without a slash at the end. */
  readonly resourceBaseUrl: string
}

/** The offers for one request. */
export type MeteredOffers = {
  readonly upto: MeteredOffer | undefined
  readonly channel: MeteredOffer | undefined
  readonly resourceUrl: string
}

/** The offers for this path and ceiling. */
export function createMeteredOffers(
  { upto, channel, resourceBaseUrl }: MeteredTermsSet,
  path: string,
  amountAtomic: bigint,
): MeteredOffers {
  const resourceUrl = `${resourceBaseUrl}${path}`
  return {
    upto: upto && createUptoOffer(upto, amountAtomic, resourceUrl),
    channel: channel && createChannelOffer(channel, amountAtomic, resourceUrl),
    resourceUrl,
  }
}

/** As entries of `accepts`: channels first, since clients take the first that they can pay. */
export function toAccepts(
  { upto, channel }: MeteredOffers,
  correction?: CorrectiveExtra,
): readonly PaymentRequirements[] {
  const ofChannel = channel && toRequirements(channel, correction)
  const ofUpto = upto && toRequirements(upto)
  return [ofChannel, ofUpto].filter((offer) => offer !== undefined)
}

function toRequirements(
  { requirements }: MeteredOffer,
  correction?: CorrectiveExtra,
): PaymentRequirements {
  const { network, extra, ...others } = requirements
  const [namespace = '', reference = ''] = network.split(':')
  return {
    ...others,
    network: `${namespace}:${reference}`,
    extra: correction === undefined ? extra : { ...extra, ...correction },
  }
}
