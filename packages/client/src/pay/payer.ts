/** Pays for requests: remembers offers, keeps the limits, and holds payments that have not bought anything yet. */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { ClientError } from '../errors.ts'
import type { PaymentMeans, Settings } from '../fetch-options.ts'
import { hashOutgoing, modelOf, type OutgoingRequest } from '../outgoing-request.ts'
import { namesPayee } from './attested-payee.ts'
import { createChannelPayer, type ChannelPayer } from './channel-payer.ts'
import { createMemoryState, openClientState, type ClientState } from './client-state.ts'
import { receiptNonceBytes, type PaymentBinding, type PaymentTerms } from './payment-header.ts'
import {
  parsePaymentRequired,
  type ChannelOffer,
  type Offer,
  type PaymentRequired,
  type UptoOffer,
} from './payment-required.ts'
import type { SignedPayment } from './signed-payment.ts'
import { createSpendingLedger, type SpendingLedger } from './spending-ledger.ts'
import { chooseOffer, judgeOffer } from './spending-limits.ts'
import { signTransfer, type SignedTransfer } from './transfer-authorization.ts'
import { checkAllowance, signUpto } from './upto-payment.ts'

/** What a verified receipt says of a payment. */
export type VerifiedCharge = {
  readonly amountAtomic: bigint
  /** Of a channel: what it was charged in all; else absent. */
  readonly cumulativeAtomic?: bigint
}

/** Owner of the limits and the channels of one `countersignFetch`. */
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
  /** The gateway refused the payment; true when its answer corrects what we knew, so that a new one may pass. */
  refuse(payment: SignedPayment, header: string | null): Promise<boolean>
  /** The receipt was verified, or, without a charge, could not be had: then the most is taken to be charged. */
  end(payment: SignedPayment, charge: VerifiedCharge | undefined): Promise<void>
  /** What was signed so far, in atomic units. */
  signedAtomic(): bigint
}

/** `kept`: signed earlier for an equal request. `remembered`: signed now, for an offer of an earlier call. */
export type AheadPayment = {
  readonly payment: SignedPayment
  readonly origin: 'kept' | 'remembered'
}

type Means = Extract<PaymentMeans, { kind: 'wallet' }>
type Terms = Omit<PaymentRequired, 'error'>
type Books = {
  readonly state: ClientState
  readonly ledger: SpendingLedger
  readonly channels: ChannelPayer | undefined
}

const maxRemembered = 256
const maxKept = 256

/** A payer with an empty memory, but for what the state keeps. */
export function createPayer(means: Means, settings: Settings): Payer {
  const { limits, schemes } = means
  const memory = createPaymentMemory()
  const { books, signedAtomic } = startBooks(means, settings)

  const bind = (request: OutgoingRequest): PaymentBinding => ({
    requestHash: hashOutgoing(request),
    salt: settings.random(32),
    receiptNonce: settings.random(receiptNonceBytes),
  })

  async function sign(
    request: OutgoingRequest,
    terms: Terms,
    binding: PaymentBinding,
  ): Promise<SignedPayment> {
    const { origin } = request.url
    const offer = chooseOffer(terms.offers, limits, origin)
    await means.checkPrice({ request, offer })
    await judgeAttested(means, offer, origin)
    return signOffer(means, settings, await books, request, { ...terms, offer }, binding)
  }

  return {
    signedAtomic,
    payAhead: async (request) => {
      const payment = memory.takeKept(request)
      if (payment !== undefined) return { payment, origin: 'kept' }
      const terms = memory.recall(request)
      if (terms === undefined) return undefined
      return { payment: await sign(request, terms, bind(request)), origin: 'remembered' }
    },
    pay: async (request, header, replaced) => {
      const required = parsePaymentRequired(header, schemes)
      const payment = await sign(request, required, replaced?.binding ?? bind(request))
      const { origin } = request.url
      const offers = required.offers.filter(
        // The ceiling of a metered call is another one for each request.
        (offer) => offer.scheme === 'exact' && judgeOffer(offer, limits, origin) === undefined,
      )
      if (payment.scheme === 'exact') memory.remember(request, { ...required, offers })
      return payment
    },
    keep: (request, payment) => {
      if (payment.scheme === 'batch-settlement') void loseVoucher(books, payment)
      else memory.keep(request, payment)
    },
    refuse: async (payment, header) =>
      payment.scheme === 'batch-settlement' &&
      refuseVoucher((await books).channels, payment, header, schemes),
    end: async (payment, charge) => endPayment(await books, payment, charge),
  }
}

/** @throws ClientError `payee-not-attested`, `attestation-…`: nothing is signed then. */
async function judgeAttested({ attestKeyset }: Means, offer: Offer, origin: string): Promise<void> {
  if (attestKeyset === undefined) return
  const keyset = await attestKeyset(origin, (each) => namesPayee(each, offer))
  if (keyset === undefined) throw new ClientError('payee-not-attested', { detail: offer.payTo })
}

type SignedByVoucher = Extract<SignedPayment, { readonly scheme: 'batch-settlement' }>

/** A ceiling is not shown again: what became of its call says the next receipt of the channel. */
async function loseVoucher(books: Promise<Books>, { voucher }: SignedByVoucher): Promise<void> {
  const { channels } = await books
  channels?.lose(voucher)
}

async function refuseVoucher(
  channels: ChannelPayer | undefined,
  { offer, voucher }: SignedByVoucher,
  header: string | null,
  schemes: Means['schemes'],
): Promise<boolean> {
  try {
    const same = header === null ? undefined : findSame(offer, header, schemes)
    return same !== undefined && (await channels?.correct(voucher, same)) === true
  } finally {
    channels?.release(voucher)
  }
}

async function endPayment(
  { channels, state }: Books,
  payment: SignedPayment,
  charge: VerifiedCharge | undefined,
): Promise<void> {
  if (payment.scheme === 'exact') return
  if (payment.scheme === 'upto') {
    if (charge === undefined) return
    payment.reservation.reduceTo(charge.amountAtomic)
    // A file that forgets this is only more careful.
    state.durable().catch(() => undefined)
    return
  }
  const { voucher } = payment
  if (charge === undefined) channels?.lose(voucher)
  // A refusal of the gateway charges nothing, and names no channel.
  else if (charge.cumulativeAtomic === undefined) channels?.release(voucher)
  else await channels?.settle(voucher, { ...charge, cumulativeAtomic: charge.cumulativeAtomic })
}

/** What the state keeps is read once; whoever pays first reports what is wrong with it. */
function startBooks(
  means: Means,
  settings: Settings,
): { readonly books: Promise<Books>; readonly signedAtomic: () => bigint } {
  // Owned here; for `signedAtomic`, which does not wait.
  let ledger: SpendingLedger | undefined
  const open = async (): Promise<Books> => {
    const opened = await openBooks(means, settings)
    ledger = opened.ledger
    return opened
  }
  const books = open()
  books.catch(() => undefined)
  return { books, signedAtomic: () => ledger?.signedAtomic() ?? 0n }
}

async function openBooks(means: Means, settings: Settings): Promise<Books> {
  const { store, budgetAtomic, limits, account: signer, channels: policy } = means
  const { now, random } = settings
  const state = store === undefined ? createMemoryState() : await openClientState(store)
  const options = { budgetAtomic, rules: limits.rules }
  const ledger = createSpendingLedger(options, state.totals, now)
  if (policy === undefined) return { state, ledger, channels: undefined }
  const { readerOf, checkPayee } = means
  const context = { signer, state, ledger, policy, readerOf, checkPayee, now, random }
  return { state, ledger, channels: createChannelPayer(context) }
}

async function signOffer(
  means: Means,
  settings: Settings,
  { channels, ledger, state }: Books,
  request: OutgoingRequest,
  terms: PaymentTerms,
  binding: PaymentBinding,
): Promise<SignedPayment> {
  const { offer } = terms
  const { origin } = request.url
  if (offer.scheme === 'batch-settlement') {
    if (channels === undefined) throw new ClientError('scheme-not-supported')
    const token = { name: offer.tokenName, version: offer.tokenVersion }
    const call = { origin, terms: { ...terms, offer }, token, signal: request.signal }
    const voucher = await channels.sign(call)
    const { header, paymentId } = voucher
    return { scheme: offer.scheme, header, paymentId, binding, offer, voucher }
  }
  if (offer.scheme === 'upto') await checkUpto(means, offer, origin)
  // Counted before anything waits, so that calls side by side cannot exceed a limit together.
  const reservation = ledger.reserve(
    { origin, network: offer.network, asset: offer.asset },
    offer.amountAtomic,
  )
  try {
    await state.durable()
    const { account } = means
    const nowMs = settings.now()
    if (offer.scheme === 'upto') {
      const signed = await signUpto(account, { ...terms, offer }, binding, nowMs)
      return { scheme: offer.scheme, ...signed, binding, offer, reservation }
    }
    const signed: SignedTransfer = await signTransfer(account, { ...terms, offer }, binding, nowMs)
    return { scheme: offer.scheme, ...signed, binding, offer }
  } catch (error) {
    reservation.release()
    throw error
  }
}

async function checkUpto(means: Means, offer: UptoOffer, origin: string): Promise<void> {
  const { network, payTo, facilitator: settler } = offer
  const { readerOf, checkPayee, account } = means
  const reader = readerOf(network)
  await checkPayee({ network, origin, payTo, contract: { kind: 'upto', settler } })
  await checkAllowance(reader, account, offer)
}

/** The offer of the same channel in a fresh 402: only its correction is read. */
function findSame(
  offer: ChannelOffer,
  header: string,
  schemes: Means['schemes'],
): ChannelOffer | undefined {
  const isSame = (other: Offer): other is ChannelOffer =>
    other.scheme === 'batch-settlement' &&
    other.network === offer.network &&
    other.asset === offer.asset &&
    other.payTo === offer.payTo &&
    other.receiverAuthorizer === offer.receiverAuthorizer
  return parsePaymentRequired(header, schemes).offers.find(isSame)
}

/** Owner of remembered offers (by origin, path and model) and kept payments (by the request they are bound to). */
function createPaymentMemory(): {
  readonly recall: (request: OutgoingRequest) => Terms | undefined
  readonly remember: (request: OutgoingRequest, terms: Terms) => void
  readonly takeKept: (request: OutgoingRequest) => SignedPayment | undefined
  readonly keep: (request: OutgoingRequest, payment: SignedPayment) => void
} {
  const remembered = new Map<string, Terms>()
  const kept = new Map<string, SignedPayment[]>()
  return {
    recall: (request) => remembered.get(offerKey(request)),
    remember: (request, terms) => put(remembered, offerKey(request), terms, maxRemembered),
    // Not judged by its dates: what the gateway has taken already stays a credit (spec/payment.md PA10.5).
    takeKept: (request) => {
      const key = keptKey(request)
      const [payment, ...rest] = kept.get(key) ?? []
      if (rest.length > 0) kept.set(key, rest)
      else kept.delete(key)
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
  const { origin, search } = request.url
  return `${origin}${search} ${toHex(hashOutgoing(request))}`
}

/** Sets an entry as the newest and forgets the oldest above the limit. */
function put<V>(map: Map<string, V>, key: string, value: V, limit: number): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > limit && oldest !== undefined) map.delete(oldest)
}
