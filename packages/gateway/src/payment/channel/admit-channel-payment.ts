/** A voucher becomes a reservation: cheap checks first, the signature after them, the disk last (spec/payment.md PA15, PA18). */
import { equalChannelConfigs } from '@countersign/protocol/payment/channel'
import { checkChannelId, type ChannelPayment } from '@countersign/protocol/payment/channel-payload'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { MeteredOffer } from '@countersign/protocol/payment/metered-offer'
import {
  describePaymentCode,
  isPaymentCode,
  PaymentError,
  type PaymentCode,
} from '@countersign/protocol/payment/payment-code'
import type { PresentedPayment } from '@countersign/protocol/payment/presented-payment'
import type { EnterPayer, LimitReached } from '../../limits/payer-limits.ts'
import { reduceChannel, type ChannelAccount } from '../ledger/channel-account.ts'
import type { CallReserved } from '../ledger/channel-event.ts'
import type { NamedElsewhere } from '../judge-name.ts'
import type { LedgerRefusal } from '../ledger/step.ts'
import { findNamed, isNameKnown, takeName, type CallName, type NamesBeside } from '../call-names.ts'
import {
  applyOwn,
  checkVoucherSigner,
  toPaymentError,
  type ChannelContext,
} from './channel-context.ts'
import {
  describeChannel,
  describeCorrection,
  type ChannelState,
  type CorrectiveExtra,
} from './channel-state.ts'
import { isClaimLate } from './claims.ts'
import { bringDeposit, checkDepositSigner, isDepositUnderWay } from './deposit.ts'
import { openChannel } from './open-channel.ts'
import { readVoucher, type ReadVoucher } from './voucher-memo.ts'

/** A call that wants to be paid from a channel. */
export type ChannelCall = {
  /** What was presented, or what is known of it. */
  readonly presented: PresentedPayment | ReadVoucher
  /** The offer for this very request. */
  readonly offer: MeteredOffer
  /** 32 hex digits: the receipt id. */
  readonly callId: string
  readonly requestHash: Hex
  /** The answer will be a stream, whose bytes leave before its charge: a crash uses a strict voucher up (PA20.4). */
  readonly isStream?: boolean
  /** The name that the caller gave the call. */
  readonly name?: CallName
  /** Names of `exact`: the book is one (PA4.8). */
  readonly beside?: NamesBeside | undefined
  /** The network that it was presented from. */
  readonly caller?: string
  /** Asked once, when the payer is known and before anything is reserved. */
  readonly enter?: EnterPayer
}

/** What was charged, once it is on the disk. */
export type ChannelCharge = {
  readonly amountAtomic: bigint
  /** C after this charge: what a claim will say at least. */
  readonly cumulativeAtomic: bigint
  /** For `PAYMENT-RESPONSE`. */
  readonly channelState: ChannelState
}

/** A reservation that is on the disk. Exactly one of `charge` and `release` ends it. */
export type ChannelReservation = {
  readonly channelId: Hex
  readonly ceilingAtomic: bigint
  /** What a crash charges from the beginning. */
  readonly provenAtomic: bigint
  /** The state before the call, for a header that leaves before the answer. */
  readonly channelStateBefore: () => ChannelState
  /** What the answer so far is worth; a crash charges the last that reached the disk. Nobody waits for it. */
  progress(provenAtomic: bigint): void
  /** Resolves when the charge is on the disk: the receipt may leave. */
  charge(amountAtomic: bigint): Promise<ChannelCharge>
  /** Nothing is charged. Only before the first byte of an answer has left. */
  release(): Promise<void>
  /** The statement about the charge is stored: a start need not issue it again. Nobody waits for it. */
  receiptStored(): void
}

/** Why there is no reservation. `correction` belongs into `extra` of the fresh offer. */
export type ChannelRefusal = {
  readonly kind: 'refused'
  readonly code: PaymentCode
  readonly detail: string
  readonly correction: CorrectiveExtra | undefined
}

/** What admission decides. */
export type ChannelAdmission =
  | {
      readonly kind: 'admitted'
      readonly reservation: ChannelReservation
      readonly read: ReadVoucher
    }
  | (NamedElsewhere & { readonly payer: Hex })
  | { readonly kind: 'limited'; readonly limited: LimitReached }
  | ChannelRefusal

const corrected: ReadonlySet<string> = new Set<PaymentCode>([
  'channel-ceiling-mismatch',
  'channel-ceiling-too-low',
  'channel-ceiling-used',
])

/** However long the delay of channels is: a node that lags so far behind needs its operator. */
const maxStaleMs = 900_000

/** Whether a refusal for this reason shows the state of the channel: only to whoever signed a voucher of it. */
function isCorrected(code: string): boolean {
  return corrected.has(code)
}

/**
 * Judges a payment and reserves the ceiling of the call. A refusal leaves nothing behind. Resolves when the reservation
 * is on the disk: the upstream may be called.
 */
export async function admitChannelPayment(
  context: ChannelContext,
  call: ChannelCall,
): Promise<ChannelAdmission> {
  try {
    const { read, event } = readCall(context, call)
    const { payment } = read
    const before = judgeName(context, read, call)
    if (before !== undefined) return before
    // Most channels are known, and wait for nothing.
    const found = findKnown(context, read) ?? (await findAccount(context, call, read, event))
    if ('limited' in found) return found
    const account = found
    if (isClaimLate(account, context.clock())) {
      throw new PaymentError('channel-chain-stale', 'What the channel owes cannot be claimed.')
    }
    // Tried before the signature is checked: a dry run costs a microsecond, a signature fifty.
    const tried = reduceChannel(account, event)
    // Channel ids are public: what was charged is told to nobody but the payer.
    if (tried.kind === 'accepted' || isCorrected(tried.code)) {
      checkVoucherSigner(context, read.channelIdBytes, payment)
    }
    if (tried.kind === 'refused') return refuseChannel(tried, account)
    // Another call of this name may have been admitted while the chain was asked.
    const meanwhile = judgeName(context, read, call)
    if (meanwhile !== undefined) return meanwhile
    const limited = call.enter?.(`address:${payment.config.payerAuthorizer}`)
    if (limited !== undefined) return { kind: 'limited', limited }
    const applied = context.ledger.apply(event)
    if (applied.kind === 'refused') return refuseChannel(applied, account)
    const usedAtomic = call.isStream === true ? useUp(context, event) : 0n
    takeName(context.ledger, payment.config.payerAuthorizer, call, context.clock())
    await context.ledger.durable()
    const reservation = createReservation(context, event, account, usedAtomic)
    return { kind: 'admitted', reservation, read }
  } catch (error) {
    const { code, detail } = toPaymentError(error)
    return { kind: 'refused', code, detail, correction: undefined }
  }
}

/**
 * What an earlier call of the same name means for this one. A name belongs to whoever signs the vouchers, on whatever
 * channel, and is answered before anything is deposited or reserved.
 */
function judgeName(
  context: ChannelContext,
  { payment, channelIdBytes }: ReadVoucher,
  call: ChannelCall,
): (NamedElsewhere & { readonly payer: Hex }) | undefined {
  const { ledger, domain, clock } = context
  const payer = payment.config.payerAuthorizer
  if (!isNameKnown(ledger, payer, call)) return undefined
  checkChannelId(domain, payment)
  checkVoucherSigner(context, channelIdBytes, payment)
  const before = findNamed(ledger, payer, call, clock())
  return before.kind === 'new' ? undefined : { ...before, payer }
}

function readCall(
  { terms, follower, clock }: ChannelContext,
  { presented, offer, callId, requestHash }: ChannelCall,
): { readonly read: ReadVoucher; readonly event: CallReserved } {
  const read = 'accepted' in presented ? readVoucher(presented, offer, terms) : presented
  const { payment, mode, signature } = read
  if (payment.action.kind === 'refund') {
    throw new PaymentError('payment-malformed', 'A refund buys no call.')
  }
  // Two thirds of the delay are left for claiming what is admitted now (PA21.4).
  const limitMs = Math.min((terms.withdrawDelaySeconds * 1000) / 3, maxStaleMs)
  if (clock() - follower.lastReadAtMs() > limitMs) {
    throw new PaymentError('channel-chain-stale', 'The chain was not read for too long.')
  }
  const { channelId, maxClaimableAtomic: ceilingAtomic } = payment.voucher
  const event = {
    type: 'call-reserved',
    channelId,
    callId,
    requestHash,
    amountAtomic: offer.amountAtomic,
    ceilingAtomic,
    signature,
    mode,
    maxRunningCalls: terms.maxRunningCalls,
  } as const
  return { read, event }
}

/** The record of a channel that is paid by a voucher alone. */
function findKnown(
  { ledger }: ChannelContext,
  { payment }: ReadVoucher,
): ChannelAccount | undefined {
  if (payment.action.kind !== 'voucher') return undefined
  const known = ledger.state.channels.get(payment.voucher.channelId)
  if (known !== undefined) checkConfig(known, payment)
  return known
}

function checkConfig(known: ChannelAccount, payment: ChannelPayment): void {
  if (equalChannelConfigs(known.config, payment.config)) return
  throw new PaymentError('channel-id-mismatch', 'The channel has another config.')
}

/**
 * A crash from here on uses the voucher up, because a part of the answer may have left. Written with the reservation:
 * the first byte waits for nothing more.
 */
function useUp({ ledger }: ChannelContext, { channelId, callId }: CallReserved): bigint {
  if (ledger.state.channels.get(channelId)?.mode !== 'strict') return 0n
  applyOwn(ledger, {
    type: 'call-progressed',
    channelId,
    callId,
    provenAtomic: leastStrictAtomic,
  })
  return leastStrictAtomic
}

/** A strict voucher without a charge would buy a second call (PA18.3). */
export const leastStrictAtomic = 1n

/** The record of the channel; one that is not known is read from the chain, after its voucher was verified. */
async function findAccount(
  context: ChannelContext,
  call: ChannelCall,
  { payment, channelIdBytes }: ReadVoucher,
  event: CallReserved,
): Promise<ChannelAccount | Limited> {
  const { channelId } = payment.voucher
  const { channels, retired } = context.ledger.state
  const known = channels.get(channelId)
  const isKnown = known !== undefined || retired.has(channelId)
  if (known === undefined) checkChannelId(context.domain, payment)
  else checkConfig(known, payment)
  if (payment.action.kind === 'deposit') {
    checkVoucherSigner(context, channelIdBytes, payment)
    // Nobody's money is moved for a voucher that will be refused. The refusal is made by the caller's own try.
    const account = known ?? imagineChannel(context, payment)
    const { deposit } = payment.action
    if (!fitsAfter(account, deposit.amountAtomic, event)) return account
    checkDepositSigner(context, payment, deposit)
    const bring = (): Promise<ChannelAccount> => bringDeposit(context, payment, deposit)
    if (isDepositUnderWay(context, payment, deposit)) return bring()
    return look(context, call, payment, isKnown, bring)
  }
  if (known !== undefined) return known
  checkVoucherSigner(context, channelIdBytes, payment)
  if (context.empty.isEmpty(channelId)) {
    throw new PaymentError('channel-unknown', 'The channel holds nothing yet.')
  }
  const open = (): Promise<ChannelAccount> => openChannel(context, payment.config, channelId)
  // Whoever waits for a reading that is under way causes none.
  if (context.opening.has(channelId)) return open()
  return look(context, call, payment, isKnown, open)
}

type Limited = ChannelAdmission & { readonly kind: 'limited' }

/** PA30: anybody can sign for channels that do not exist, and each makes us ask the chain. */
async function look(
  { reads }: ChannelContext,
  { caller = '' }: ChannelCall,
  { config: { payerAuthorizer: payer } }: ChannelPayment,
  isKnown: boolean,
  ask: () => Promise<ChannelAccount>,
): Promise<ChannelAccount | Limited> {
  const permit = reads?.take({ payer, caller, isKnown })
  if (permit?.kind === 'limited') return permit
  const account = await ask()
  // It holds money.
  permit?.proven()
  return account
}

/** A channel that the ledger does not know, before its first deposit. */
function imagineChannel(
  { ledger }: ChannelContext,
  { config, voucher: { channelId } }: ChannelPayment,
): ChannelAccount {
  const retired = ledger.state.retired.get(channelId)
  // An empty channel holds what was claimed of it.
  const claimedAtomic = retired?.chargedAtomic ?? 0n
  const view = {
    depositedAtomic: claimedAtomic,
    claimedAtomic,
    withdrawingAtomic: 0n,
    withdrawRequestedAtSeconds: 0n,
    refundNonce: 0n,
    blockNumber: 0n,
    finalBlockNumber: 0n,
  }
  const event = { type: 'channel-opened', channelId, config, view } as const
  const opened = reduceChannel(undefined, event, retired)
  if (opened.kind === 'refused') throw new Error('a new channel cannot be refused')
  return opened.next
}

function fitsAfter(account: ChannelAccount, amountAtomic: bigint, event: CallReserved): boolean {
  const depositedAtomic = account.view.depositedAtomic + amountAtomic
  const view = { ...account.view, depositedAtomic }
  return reduceChannel({ ...account, view }, event).kind === 'accepted'
}

function createReservation(
  { ledger, clock }: ChannelContext,
  event: CallReserved,
  before: ChannelAccount,
  usedAtomic: bigint,
): ChannelReservation {
  const { channelId, callId, amountAtomic: ceilingAtomic } = event
  return {
    channelId,
    ceilingAtomic,
    provenAtomic: usedAtomic,
    channelStateBefore: () => describeChannel(before),
    progress: (provenAtomic) => {
      applyOwn(ledger, { type: 'call-progressed', channelId, callId, provenAtomic })
    },
    charge: async (amountAtomic) => {
      const charged = { channelId, callId, amountAtomic, atMs: clock() }
      applyOwn(ledger, { type: 'call-charged', ...charged })
      const account = ledger.state.channels.get(channelId) ?? before
      await ledger.durable()
      const cumulativeAtomic = account.chargedAtomic
      return { amountAtomic, cumulativeAtomic, channelState: describeChannel(account) }
    },
    release: async () => {
      applyOwn(ledger, { type: 'call-released', channelId, callId })
      await ledger.durable()
    },
    receiptStored: () => {
      applyOwn(ledger, { type: 'receipt-issued', callId })
    },
  }
}

/** @throws Error for a refusal that only a mistake of ours explains. */
export function refuseChannel({ code }: LedgerRefusal, account: ChannelAccount): ChannelRefusal {
  if (!isPaymentCode(code)) throw new Error(`the ledger refused a call: ${code}`)
  return {
    kind: 'refused',
    code,
    detail: describePaymentCode(code).reason,
    correction: isCorrected(code) ? describeCorrection(account) : undefined,
  }
}
