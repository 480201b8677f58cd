/** What is not charged goes back at once when its payer asks for it (spec/payment.md PA19.2). */
import { decodeChannelId, equalChannelConfigs } from '@countersign/protocol/payment/channel'
import { parseChannelPayload } from '@countersign/protocol/payment/channel-payload'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { checkAccepted, type MeteredOffer } from '@countersign/protocol/payment/metered-offer'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { parsePaymentExtensions } from '@countersign/protocol/payment/payment-extensions'
import type { PresentedPayment } from '@countersign/protocol/payment/presented-payment'
import {
  isCeilingUsed,
  reduceChannel,
  type ChannelAccount,
  type PendingRefund,
} from '../ledger/channel-account.ts'
import { encodeRefund } from './batch-contract.ts'
import { refuseChannel, type ChannelRefusal } from './admit-channel-payment.ts'
import {
  checkSigner,
  checkVoucherSigner,
  toPaymentError,
  type ChannelContext,
} from './channel-context.ts'
import { describeChannel, type ChannelState } from './channel-state.ts'
import { authorize, isBadVoucher, toClaimRow } from './claims.ts'
import { isRevert, RefundRefused, SettlementKeyUntrusted } from './settlement-key.ts'
import { sendJournaled } from './transaction-book.ts'

/** A refund that is on its way. */
export type RefundOutcome =
  | {
      readonly kind: 'sent'
      readonly transaction: Hex
      readonly amountAtomic: bigint
      readonly channelState: ChannelState
    }
  | ChannelRefusal

const gas = 400_000n

/**
 * Claims what is charged and gives back the rest, or a part of it, in one transaction. It is journaled here and sent in
 * the manager's turn, so that it is never sent twice; when that fails now, the manager's next step sends it. From the
 * journaling on the channel takes no voucher until the chain shows that the refund's nonce is used.
 */
export async function refundChannel(
  context: ChannelContext,
  presented: PresentedPayment,
  offer: MeteredOffer,
): Promise<RefundOutcome> {
  const { ledger, terms } = context
  try {
    checkAccepted(presented, offer)
    const payment = parseChannelPayload(presented.payload, terms)
    const { config, voucher, action } = payment
    const { channelId } = voucher
    const known = ledger.state.channels.get(channelId)
    if (known === undefined || !equalChannelConfigs(known.config, config)) {
      throw new PaymentError('channel-unknown', 'No such channel is known here.')
    }
    if (action.kind !== 'refund') throw new PaymentError('payment-malformed', 'No refund.')
    // Its voucher says how much the payer knows to be charged.
    checkVoucherSigner(context, decodeChannelId(channelId), payment)
    // Whatever the amount: what cannot be refunded now costs no question to the chain.
    const tried = reduceChannel(known, { type: 'refund-signed', channelId, amountAtomic: 1n })
    if (tried.kind === 'refused') return refuseChannel(tried, known)
    const judge = (account: ChannelAccount): ChannelRefusal | undefined => {
      if (voucher.maxClaimableAtomic !== account.chargedAtomic) {
        return refuseChannel({ kind: 'refused', code: 'channel-ceiling-mismatch' }, account)
      }
      checkAsker(context, presented, account, action.amountAtomic)
      return undefined
    }
    // Claims show vouchers to everybody: whoever has one of those must not make us ask the chain, either.
    const early = judge(known)
    if (early !== undefined) return early
    await checkKey(context, known)
    // From here to the event nothing is awaited: it is judged by what it is applied to.
    const account = ledger.state.channels.get(channelId) ?? known
    const late = judge(account)
    if (late !== undefined) return late
    const rest = account.view.depositedAtomic - account.chargedAtomic
    const amountAtomic = action.amountAtomic === 'all' ? rest : action.amountAtomic
    const step = ledger.apply({ type: 'refund-signed', channelId, amountAtomic })
    if (step.kind === 'refused') return refuseChannel(step, account)
    await ledger.durable()
    const transaction = await context.inTurn(() => sendOnce(context, channelId))
    return { kind: 'sent', transaction, amountAtomic, channelState: describeChannel(account) }
  } catch (error) {
    const { code, detail } = toPaymentError(error)
    return { kind: 'refused', code, detail, correction: undefined }
  }
}

/**
 * Whoever asks must be the payer. A voucher shows that only while nobody else can have it: one that bought a call stands
 * in claims and corrections. Then, and whenever it is there, the payer's signature under this very refund decides.
 */
function checkAsker(
  { curve, domain }: ChannelContext,
  presented: PresentedPayment,
  account: ChannelAccount,
  amountAtomic: bigint | 'all',
): void {
  const { refund } = parsePaymentExtensions(presented)
  if (refund.kind === 'none') {
    if (!isCeilingUsed(account, account.chargedAtomic)) return
    throw new PaymentError('refund-signature-required', 'This voucher has bought a call.')
  }
  const { nonce, signature } = refund
  if (amountAtomic === 'all') throw new PaymentError('refund-amount-invalid', 'Which amount?')
  if (nonce !== account.view.refundNonce) {
    throw new PaymentError('refund-nonce-mismatch', 'The refund is signed for another nonce.')
  }
  const digest = domain.hashRefund(account.channelId, nonce, amountAtomic)
  checkSigner(curve, digest, signature, account.config.payerAuthorizer)
}

/** Nothing is promised while our key is not trusted. This signature is of an amount that the contract refuses. */
async function checkKey(
  { domain, sign, isAuthorized }: ChannelContext,
  { channelId, view }: ChannelAccount,
): Promise<void> {
  const digest = domain.hashRefund(channelId, view.refundNonce, 0n)
  if (!(await isAuthorized(digest, sign(digest)))) throw new SettlementKeyUntrusted()
}

/**
 * Refunds that are journaled but have no transaction, because a process died or a node refused, are sent now: by the
 * manager, in its turn. What goes wrong is returned, since it must hold up nothing else.
 */
export async function resendRefunds(context: ChannelContext): Promise<readonly unknown[]> {
  const faults: unknown[] = []
  for (const { channelId, refunding, frozen } of context.ledger.state.channels.values()) {
    if (refunding === undefined || refunding.minedAtBlock !== undefined || frozen) continue
    try {
      await sendOnce(context, channelId)
    } catch (error) {
      faults.push(error)
    }
  }
  return faults
}

/** Only in turn: two that run at once would both find no transaction. */
async function sendOnce(context: ChannelContext, channelId: Hex): Promise<Hex> {
  const { channels, transactions } = context.ledger.state
  for (const { hash, purpose } of transactions.values()) {
    if (purpose.kind === 'refund' && purpose.channelId === channelId) return hash
  }
  const account = channels.get(channelId)
  if (account?.refunding === undefined) throw new Error('no refund was journaled')
  return sendRefund(context, account, account.refunding)
}

async function sendRefund(
  context: ChannelContext,
  account: ChannelAccount,
  { nonce, amountAtomic }: PendingRefund,
): Promise<Hex> {
  const { domain, sign, contract: to, isAuthorized, ledger } = context
  const { channelId, config } = account
  const row = toClaimRow(account)
  const isOwing = row !== undefined && row.totalAtomic > account.view.claimedAtomic
  const claim = isOwing ? { row, authorization: await authorize(context, [row]) } : undefined
  const digest = domain.hashRefund(channelId, nonce, amountAtomic)
  const signature = sign(digest)
  if (!(await isAuthorized(digest, signature))) throw new SettlementKeyUntrusted()
  const data = encodeRefund(claim, { config, amountAtomic, nonce, signature })
  try {
    await context.simulate({ to, data })
  } catch (error) {
    if (!isRevert(error)) throw error
    // Asked again: the key may have ended since.
    await checkKey(context, account)
    if (isOwing && isBadVoucher(context, row, error)) {
      ledger.apply({ type: 'channel-frozen', channelId })
    }
    throw new RefundRefused(channelId, { cause: error })
  }
  return sendJournaled(context, { to, data, gas }, { kind: 'refund', channelId }, [])
}
