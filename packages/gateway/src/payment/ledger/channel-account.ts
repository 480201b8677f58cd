/** The record of one channel, and the function from events to records (spec/payment.md PA18). */
import type { ChannelConfig } from '@countersign/protocol/payment/channel'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { CallReserved, ChainView, ChannelEvent } from './channel-event.ts'
import { accept, refuse, type Step } from './step.ts'

/** A call that reserves a part of what was signed. */
export type RunningCall = {
  readonly callId: string
  readonly requestHash: Hex
  readonly ceilingAtomic: bigint
  readonly signature: Hex
  readonly reservedAtomic: bigint
  readonly provenAtomic: bigint
}

/** Who has its signature can send it at any time, also after a reorganisation: there is one at a time. */
export type PendingRefund = {
  readonly amountAtomic: bigint
  readonly nonce: bigint
  /** The first block in which its nonce was seen used; while there is none, the amount is a part of [W]. */
  readonly minedAtBlock: bigint | undefined
}

/** One channel. In brackets: its letter in PA18. */
export type ChannelAccount = {
  readonly channelId: Hex
  readonly config: ChannelConfig
  readonly mode: 'strict' | 'unique-ceiling'
  /** [B, K, W and what belongs to them.] */
  readonly view: ChainView
  /** The refund that we signed, until its block has the configured depth. */
  readonly refunding: PendingRefund | undefined
  /** What was claimed before this ledger knew the channel: everything above it was charged here. */
  readonly baseAtomic: bigint
  /** [C] */
  readonly chargedAtomic: bigint
  /** [R], the sum over `running`. */
  readonly reservedAtomic: bigint
  /**
   * The highest ceiling that is used up, and its signature; undefined before the first. Claims and corrections show it
   * to everybody, so a voucher that is still good for a call must never stand here (PA18.3).
   */
  readonly signed: { readonly ceilingAtomic: bigint; readonly signature: Hex } | undefined
  /** Ceilings that are used up, from C on, ascending, all above `floorAtomic`: everything up to that one is used. */
  readonly usedCeilings: readonly bigint[]
  readonly floorAtomic: bigint
  readonly running: readonly RunningCall[]
  /** The latest claim, and when it was sent. */
  readonly claim: { readonly totalAtomic: bigint; readonly sentAtMs: number } | undefined
  /** No unclaimed charge is older. Undefined when everything is claimed. */
  readonly unclaimedSinceMs: number | undefined
  readonly frozen: boolean
}

/**
 * What is remembered of a channel without money. Its vouchers are public, and its payer may fill it again: without this
 * they would buy calls.
 */
export type RetiredChannel = Pick<
  ChannelAccount,
  'mode' | 'baseAtomic' | 'chargedAtomic' | 'signed' | 'usedCeilings' | 'floorAtomic'
>

/** The rest of a channel that nothing can happen to any more; undefined while something can. */
export function retireChannel(account: ChannelAccount): RetiredChannel | undefined {
  const { view, running, refunding, frozen } = account
  const isEmpty = view.depositedAtomic <= view.claimedAtomic && view.withdrawingAtomic === 0n
  if (!isEmpty || running.length > 0 || refunding !== undefined || frozen) return undefined
  const { mode, baseAtomic, chargedAtomic, signed, usedCeilings, floorAtomic } = account
  return { mode, baseAtomic, chargedAtomic, signed, usedCeilings, floorAtomic }
}

/** Ceilings remembered for each channel. Fewer would refuse vouchers that arrive late, more would cost memory. */
export const maxUsedCeilings = 256

/**
 * The record after an event; `undefined` stands for a channel that is not known. A refusal changes nothing. At every
 * instant C + R ≤ S, and K ≤ C unless the channel is frozen (PA18.1).
 */
export function reduceChannel(
  account: ChannelAccount | undefined,
  event: ChannelEvent,
  retired?: RetiredChannel,
): Step<ChannelAccount> {
  if (event.type === 'channel-opened') {
    return account === undefined ? accept(openAccount(event, retired)) : refuse('account-exists')
  }
  if (account === undefined) return refuse('channel-unknown')
  switch (event.type) {
    case 'channel-seen':
      return accept(applyView(account, event.view))
    case 'call-reserved':
      return reserve(account, event)
    case 'call-progressed':
      return progress(account, event)
    case 'call-charged':
      return charge(account, event)
    case 'call-released':
      return release(account, event.callId)
    case 'refund-signed':
      return signRefund(account, event.amountAtomic)
    case 'claim-sent':
      return noteClaim(account, event.totalAtomic, event.atMs)
    case 'channel-frozen':
      return accept({ ...account, frozen: true })
    case 'channel-thawed':
      return thaw(account)
  }
}

/** S: the highest ceiling that the payer signed, that of a running strict call included. */
export function signedCeilingAtomic({ signed, running }: ChannelAccount): bigint {
  let highest = signed?.ceilingAtomic ?? 0n
  for (const { ceilingAtomic } of running) if (ceilingAtomic > highest) highest = ceilingAtomic
  return highest
}

/** True when this ceiling bought a call, so that anybody may have seen its voucher; true also when nobody knows. */
export function isCeilingUsed(
  { usedCeilings, floorAtomic }: ChannelAccount,
  ceilingAtomic: bigint,
): boolean {
  return ceilingAtomic <= floorAtomic || usedCeilings.includes(ceilingAtomic)
}

/** B − W: what new calls may use up to. */
export function availableAtomic({ view, refunding }: ChannelAccount): bigint {
  const isWaiting = refunding !== undefined && refunding.minedAtBlock === undefined
  const refundAtomic = isWaiting ? refunding.amountAtomic : 0n
  return view.depositedAtomic - view.withdrawingAtomic - refundAtomic
}

/** Whether this view says anything that the record does not know yet. */
export function isNews({ view: known, refunding }: ChannelAccount, view: ChainView): boolean {
  const next = refunding === undefined ? undefined : followRefund(refunding, view)
  return (
    known.depositedAtomic !== view.depositedAtomic ||
    known.claimedAtomic !== view.claimedAtomic ||
    known.withdrawingAtomic !== view.withdrawingAtomic ||
    known.withdrawRequestedAtSeconds !== view.withdrawRequestedAtSeconds ||
    known.refundNonce !== view.refundNonce ||
    next?.nonce !== refunding?.nonce ||
    next?.minedAtBlock !== refunding?.minedAtBlock
  )
}

function openAccount(
  event: ChannelEvent & { readonly type: 'channel-opened' },
  retired: RetiredChannel | undefined,
): ChannelAccount {
  const { channelId, config, view } = event
  const fresh: ChannelAccount = {
    channelId,
    config,
    mode: 'strict',
    view,
    refunding: undefined,
    // What an older ledger may have charged above this is the operator's loss (PA18.8).
    baseAtomic: view.claimedAtomic,
    chargedAtomic: view.claimedAtomic,
    reservedAtomic: 0n,
    // Nothing was signed for us yet; what is claimed needs no signature any more.
    signed: undefined,
    usedCeilings: [],
    // Vouchers of what was claimed are public.
    floorAtomic: view.claimedAtomic,
    running: [],
    claim: undefined,
    unclaimedSinceMs: undefined,
    frozen: false,
  }
  if (retired === undefined) return fresh
  return {
    ...fresh,
    ...retired,
    unclaimedSinceMs: view.claimedAtomic < retired.chargedAtomic ? 0 : undefined,
    frozen: view.claimedAtomic > retired.chargedAtomic,
  }
}

function noteClaim(
  account: ChannelAccount,
  totalAtomic: bigint,
  sentAtMs: number,
): Step<ChannelAccount> {
  if (totalAtomic < 0n || totalAtomic > account.chargedAtomic) return refuse('amount-invalid')
  return accept({ ...account, claim: { totalAtomic, sentAtMs } })
}

/** What somebody else claimed, nobody explains away (PA18.7). */
function thaw(account: ChannelAccount): Step<ChannelAccount> {
  if (account.view.claimedAtomic > account.chargedAtomic) return refuse('channel-frozen')
  return accept({ ...account, frozen: false })
}

function applyView(account: ChannelAccount, view: ChainView): ChannelAccount {
  const { chargedAtomic, claim, refunding } = account
  const claimedAll = view.claimedAtomic >= chargedAtomic
  // Charges made after the claim was sent are not older than that.
  const claimArrived = claim !== undefined && view.claimedAtomic >= claim.totalAtomic
  const since = claimArrived ? claim.sentAtMs : account.unclaimedSinceMs
  return {
    ...account,
    view,
    refunding: refunding === undefined ? undefined : followRefund(refunding, view),
    unclaimedSinceMs: claimedAll ? undefined : (since ?? 0),
    // Nobody but us should be able to claim, and we claim at most C (PA18.7).
    frozen: account.frozen || view.claimedAtomic > chargedAtomic,
  }
}

/** A reorganisation brings the refund back until its block is deep enough (PA19.2). */
function followRefund(refund: PendingRefund, view: ChainView): PendingRefund | undefined {
  if (view.refundNonce <= refund.nonce) return { ...refund, minedAtBlock: undefined }
  const minedAtBlock = refund.minedAtBlock ?? view.blockNumber
  return minedAtBlock <= view.finalBlockNumber ? undefined : { ...refund, minedAtBlock }
}

function reserve(account: ChannelAccount, event: CallReserved): Step<ChannelAccount> {
  const { callId, requestHash, amountAtomic, ceilingAtomic, signature } = event
  const available = availableAtomic(account)
  if (amountAtomic < 1n) return refuse('amount-invalid')
  if (account.frozen) return refuse('channel-frozen')
  if (available < account.view.depositedAtomic) return refuse('channel-withdrawing')
  if (account.running.some((call) => call.callId === callId)) return refuse('call-exists')
  const ceilings = judgeCeiling(account, event)
  if (ceilings.kind === 'refused') return ceilings
  const committed = account.chargedAtomic + account.reservedAtomic + amountAtomic
  if (ceilingAtomic > available || committed > available) return refuse('channel-balance-exceeded')
  const reservedAtomic = amountAtomic
  const call = { callId, requestHash, ceilingAtomic, signature, reservedAtomic, provenAtomic: 0n }
  return accept({
    ...account,
    ...ceilings.next,
    reservedAtomic: account.reservedAtomic + amountAtomic,
    running: [...account.running, call],
  })
}

/** What is remembered of vouchers. A strict one is used up by its charge, a unique one by its reservation. */
type Ceilings = Pick<ChannelAccount, 'mode' | 'signed' | 'usedCeilings' | 'floorAtomic'>

/** Whether the voucher may be used, and what is remembered of it (PA18.3, PA18.4). */
function judgeCeiling(account: ChannelAccount, event: CallReserved): Step<Ceilings> {
  const { mode, signed, usedCeilings, floorAtomic, running, chargedAtomic, reservedAtomic } =
    account
  const { amountAtomic, ceilingAtomic } = event
  const staysStrict = mode === 'strict' && event.mode === 'strict'
  if (running.length >= (mode === 'strict' ? 1 : event.maxRunningCalls)) {
    return refuse('channel-busy')
  }
  if (staysStrict) {
    if (ceilingAtomic !== chargedAtomic + amountAtomic) return refuse('channel-ceiling-mismatch')
    // A call that cost less than its ceiling leaves a voucher that another amount would fit, and anybody may have it.
    if (isCeilingUsed(account, ceilingAtomic)) return refuse('channel-ceiling-used')
    return accept({ mode, signed, usedCeilings, floorAtomic })
  }
  const highestUsed = signed?.ceilingAtomic ?? 0n
  const floor = mode === 'strict' && highestUsed > floorAtomic ? highestUsed : floorAtomic
  if (isCeilingUsed({ ...account, floorAtomic: floor }, ceilingAtomic)) {
    return refuse('channel-ceiling-used')
  }
  const highest = ceilingAtomic > highestUsed ? ceilingAtomic : highestUsed
  const coversItself = ceilingAtomic >= chargedAtomic + amountAtomic
  if (!coversItself || highest < chargedAtomic + reservedAtomic + amountAtomic) {
    return refuse('channel-ceiling-too-low')
  }
  return accept(useCeiling({ ...account, mode: 'unique-ceiling', floorAtomic: floor }, event))
}

/** Remembers that this voucher bought a call. */
function useCeiling(
  { mode, signed, usedCeilings, floorAtomic }: ChannelAccount,
  { ceilingAtomic, signature }: Pick<RunningCall, 'ceilingAtomic' | 'signature'>,
): Ceilings {
  const raises = signed === undefined || ceilingAtomic > signed.ceilingAtomic
  const used = insert(
    usedCeilings.filter((ceiling) => ceiling > floorAtomic),
    ceilingAtomic,
  )
  const [lowest] = used
  const isFull = used.length > maxUsedCeilings && lowest !== undefined
  return {
    mode,
    signed: raises ? { ceilingAtomic, signature } : signed,
    usedCeilings: isFull ? used.slice(1) : used,
    floorAtomic: isFull ? lowest : floorAtomic,
  }
}

function progress(
  account: ChannelAccount,
  { callId, provenAtomic }: ChannelEvent & { readonly type: 'call-progressed' },
): Step<ChannelAccount> {
  const call = account.running.find((running) => running.callId === callId)
  if (call === undefined) return refuse('call-unknown')
  if (provenAtomic > call.reservedAtomic) return refuse('charge-exceeds-reservation')
  // What was once delivered stays delivered.
  if (provenAtomic < call.provenAtomic) return refuse('amount-invalid')
  const running = account.running.map((each) => (each === call ? { ...call, provenAtomic } : each))
  return accept({ ...account, running })
}

function charge(
  account: ChannelAccount,
  { callId, amountAtomic, atMs }: ChannelEvent & { readonly type: 'call-charged' },
): Step<ChannelAccount> {
  const call = account.running.find((running) => running.callId === callId)
  if (call === undefined) return refuse('call-unknown')
  if (amountAtomic < 0n) return refuse('amount-invalid')
  if (amountAtomic > call.reservedAtomic) return refuse('charge-exceeds-reservation')
  // A strict voucher without a charge would buy a second call (F9).
  if (amountAtomic === 0n && account.mode === 'strict') return refuse('charge-below-minimum')
  const chargedAtomic = account.chargedAtomic + amountAtomic
  const ceilings = account.mode === 'strict' ? useCeiling(account, call) : account
  return accept({
    ...account,
    ...withoutCall(account, call),
    chargedAtomic,
    signed: ceilings.signed,
    floorAtomic: ceilings.floorAtomic,
    // No ceiling below C can be accepted again, and one of C is good for a refund only when it bought no call.
    usedCeilings: ceilings.usedCeilings.filter((ceiling) => ceiling >= chargedAtomic),
    unclaimedSinceMs:
      amountAtomic === 0n ? account.unclaimedSinceMs : (account.unclaimedSinceMs ?? atMs),
  })
}

function release(account: ChannelAccount, callId: string): Step<ChannelAccount> {
  const call = account.running.find((running) => running.callId === callId)
  if (call === undefined) return refuse('call-unknown')
  // A strict voucher was shown to nobody and is good again; a unique one may stand in a claim already.
  return accept({ ...account, ...withoutCall(account, call) })
}

function signRefund(account: ChannelAccount, amountAtomic: bigint): Step<ChannelAccount> {
  const { chargedAtomic, running, view } = account
  if (account.frozen) return refuse('channel-frozen')
  if (running.length > 0) return refuse('channel-busy')
  const isPending = account.refunding !== undefined
  if (isPending || availableAtomic(account) < view.depositedAtomic) {
    return refuse('channel-withdrawing')
  }
  if (amountAtomic < 1n || amountAtomic > view.depositedAtomic - chargedAtomic) {
    return refuse('refund-amount-invalid')
  }
  const refunding = { amountAtomic, nonce: view.refundNonce, minedAtBlock: undefined }
  return accept({ ...account, refunding })
}

function withoutCall(
  { running, reservedAtomic }: ChannelAccount,
  call: RunningCall,
): Pick<ChannelAccount, 'running' | 'reservedAtomic'> {
  return {
    running: running.filter((each) => each !== call),
    reservedAtomic: reservedAtomic - call.reservedAtomic,
  }
}

/** Ascending; new ceilings are usually the highest. */
function insert(ceilings: readonly bigint[], ceiling: bigint): readonly bigint[] {
  const place = ceilings.findLastIndex((each) => each < ceiling) + 1
  return ceilings.toSpliced(place, 0, ceiling)
}
