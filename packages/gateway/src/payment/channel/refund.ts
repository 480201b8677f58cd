/** What is not charged goes back at once when its payer asks for it (spec/payment.md PA19.2). */
import { decodeChannelId, equalChannelConfigs } from '@countersign/protocol/payment/channel'
import { parseChannelPayload } from '@countersign/protocol/payment/channel-payload'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { checkAccepted, type MeteredOffer } from '@countersign/protocol/payment/metered-offer'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { parsePaymentExtensions } from '@countersign/protocol/payment/payment-extensions'
import type { PresentedPayment } from '@countersign/protocol/payment/presented-payment'
import { isCeilingUsed, type ChannelAccount } from '../ledger/channel-account.ts'
import { encodeRefund, type ClaimRow } from './batch-contract.ts'
import { refuseChannel, type ChannelRefusal } from './admit-channel-payment.ts'
import {
  checkSigner,
  checkVoucherSigner,
  toPaymentError,
  type ChannelContext,
} from './channel-context.ts'
import { describeChannel, type ChannelState } from './channel-state.ts'
import { isRevert } from './claims.ts'
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
 * Claims what is charged and gives back the rest, or a part of it, in one transaction. From the moment it is signed
 * the channel takes no voucher until the chain shows that the refund's nonce is used.
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
    const account = ledger.state.channels.get(channelId)
    if (account === undefined || !equalChannelConfigs(account.config, config)) {
      throw new PaymentError('channel-unknown', 'No such channel is known here.')
    }
    if (action.kind !== 'refund') throw new PaymentError('payment-malformed', 'No refund.')
    // Its voucher says how much the payer knows to be charged.
    checkVoucherSigner(context, decodeChannelId(channelId), payment)
    if (voucher.maxClaimableAtomic !== account.chargedAtomic) {
      return refuseChannel({ kind: 'refused', code: 'channel-ceiling-mismatch' }, account)
    }
    checkAsker(context, presented, account, action.amountAtomic)
    const rest = account.view.depositedAtomic - account.chargedAtomic
    const amountAtomic = action.amountAtomic === 'all' ? rest : action.amountAtomic
    const step = ledger.apply({ type: 'refund-signed', channelId, amountAtomic })
    if (step.kind === 'refused') return refuseChannel(step, account)
    await ledger.durable()
    const transaction = await sendRefund(context, account, {
      amountAtomic,
      nonce: account.view.refundNonce,
    })
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

/** Refunds that are journaled but have no transaction, because a process died or a node refused, are sent now. */
export async function resendRefunds(context: ChannelContext): Promise<void> {
  const { channels, transactions } = context.ledger.state
  const sent = new Set<Hex>()
  for (const { purpose } of transactions.values()) {
    if (purpose.kind === 'refund') sent.add(purpose.channelId)
  }
  for (const account of channels.values()) {
    const { channelId, refunding } = account
    if (refunding !== undefined && !sent.has(channelId) && !account.frozen) {
      await sendRefund(context, account, refunding)
    }
  }
}

async function sendRefund(
  context: ChannelContext,
  account: ChannelAccount,
  refund: { readonly amountAtomic: bigint; readonly nonce: bigint },
): Promise<Hex> {
  const { domain, sign, contract: to } = context
  const { channelId, config } = account
  const signature = sign(domain.hashRefund(channelId, refund.nonce, refund.amountAtomic))
  const data = encodeRefund(claimOf(context, account), { config, ...refund, signature })
  try {
    await context.simulate({ to, data })
  } catch (error) {
    // It would be tried at each step, for ever and at our cost.
    if (isRevert(error)) context.ledger.apply({ type: 'channel-frozen', channelId })
    throw error
  }
  return sendJournaled(context, { to, data, gas }, { kind: 'refund', channelId }, [])
}

function claimOf(
  { domain, sign }: ChannelContext,
  { channelId, config, signed, chargedAtomic: totalAtomic, view }: ChannelAccount,
): Parameters<typeof encodeRefund>[0] {
  if (signed === undefined || totalAtomic <= view.claimedAtomic) return undefined
  const row: ClaimRow = { channelId, config, ...signed, totalAtomic }
  const entry = {
    channelId,
    maxClaimableAtomic: signed.ceilingAtomic,
    totalClaimedAtomic: totalAtomic,
  }
  return { row, authorization: sign(domain.hashClaimBatch([entry])) }
}
