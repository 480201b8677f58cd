/** Pays for requests: remembers offers, keeps the budget, and holds payments that have not bought anything yet. */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { ClientError } from '../errors.ts'
import type { PaymentMeans, Settings } from '../fetch-options.ts'
import { hashOutgoing, modelOf, type OutgoingRequest } from '../outgoing-request.ts'
import { parsePaymentRequired, type PaymentRequired } from './payment-required.ts'
import { chooseOffer, judgeOffer } from './spending-limits.ts'
import {
  receiptNonceBytes,
  signPayment,
  type PaymentBinding,
  type SignedPayment,
} from './transfer-authorization.ts'

/** Owner of the budget of one `countersignFetch`. */
export type Payer = {
  /** A payment for this request without asking: one that bought nothing yet, or one for a remembered offer. */
  payAhead(request: OutgoingRequest): Promise<AheadPayment | undefined>
  /**
   * Signs a payment for an offer of this 402 header, within the limits. Instead of `replaced`: with its nonce, so that
   * of the two only one can ever be taken from the same asset.
   */
  pay(
    request: OutgoingRequest,
    header: string,
    replaced: SignedPayment | undefined,
  ): Promise<SignedPayment>
  /** Keeps a payment that bought nothing: the next equal request uses it instead of a new one. */
  keep(request: OutgoingRequest, payment: SignedPayment): void
  /** What was signed so far, in atomic units. */
  signedAtomic(): bigint
}

/** `kept`: signed earlier for an equal request. `remembered`: signed now, for an offer of an earlier call. */
export type AheadPayment = {
  readonly payment: SignedPayment
  readonly origin: 'kept' | 'remembered'
}

type Terms = Omit<PaymentRequired, 'error'>

const maxRemembered = 256
const maxKept = 256

/** A payer with an empty memory. */
export function createPayer(
  means: Extract<PaymentMeans, { kind: 'wallet' }>,
  { now, random }: Settings,
): Payer {
  const { account, limits, budgetAtomic } = means
  // Owned here. Offers by origin, path and model; payments by the hash of the request they are bound to.
  const remembered = new Map<string, Terms>()
  const kept = new Map<string, SignedPayment[]>()
  let signedAtomic = 0n

  const bind = (request: OutgoingRequest): PaymentBinding => ({
    requestHash: hashOutgoing(request),
    salt: random(32),
    receiptNonce: random(receiptNonceBytes),
  })

  async function sign(terms: Terms, binding: PaymentBinding): Promise<SignedPayment> {
    const offer = chooseOffer(terms.offers, limits)
    if (signedAtomic + offer.amountAtomic > budgetAtomic) {
      const detail = `${signedAtomic} + ${offer.amountAtomic} > ${budgetAtomic}`
      throw new ClientError('budget-exhausted', { detail })
    }
    // Counted before anything waits, so that calls side by side cannot exceed the budget together.
    signedAtomic += offer.amountAtomic
    try {
      return await signPayment(account, { ...terms, offer }, binding, now())
    } catch (error) {
      signedAtomic -= offer.amountAtomic
      throw error
    }
  }

  // Not judged by its dates: what the gateway has taken already stays a credit (spec/payment.md PA10.5).
  function takeKept(request: OutgoingRequest): SignedPayment | undefined {
    const key = keptKey(request)
    const [payment, ...rest] = kept.get(key) ?? []
    if (rest.length > 0) kept.set(key, rest)
    else kept.delete(key)
    return payment
  }

  return {
    signedAtomic: () => signedAtomic,
    payAhead: async (request) => {
      const payment = takeKept(request)
      if (payment !== undefined) return { payment, origin: 'kept' }
      const terms = remembered.get(offerKey(request))
      if (terms === undefined) return undefined
      return { payment: await sign(terms, bind(request)), origin: 'remembered' }
    },
    pay: async (request, header, replaced) => {
      const required = parsePaymentRequired(header)
      const payment = await sign(required, replaced?.binding ?? bind(request))
      const offers = required.offers.filter((offer) => judgeOffer(offer, limits) === undefined)
      put(remembered, offerKey(request), { ...required, offers }, maxRemembered)
      return payment
    },
    keep: (request, payment) => {
      const key = keptKey(request)
      put(kept, key, [...(kept.get(key) ?? []), payment], maxKept)
    },
  }
}

function offerKey(request: OutgoingRequest): string {
  return JSON.stringify([request.url.origin, request.url.pathname, modelOf(request)])
}

function keptKey(request: OutgoingRequest): string {
  return `${request.url.origin} ${toHex(hashOutgoing(request))}`
}

/** Sets an entry as the newest and forgets the oldest above the limit. */
function put<V>(map: Map<string, V>, key: string, value: V, limit: number): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > limit && oldest !== undefined) map.delete(oldest)
}
