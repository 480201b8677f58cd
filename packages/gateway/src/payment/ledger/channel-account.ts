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
  readonly reservedAtomic: bigint
  readonly provenAtomic: bigint
}

/** One channel. In brackets: its letter in PA18. */
export type ChannelAccount = {
  readonly channelId: Hex
  readonly config: ChannelConfig
  readonly mode: 'strict' | 'unique-ceiling'
  /** [B, K, W and what belongs to them.] */
  readonly view: ChainView
  /** What refunds take that we signed and the chain does not show yet; a part of [W]. */
  readonly refunding: { readonly amountAtomic: bigint; readonly nonce: bigint } | undefined
  /** What was claimed before this ledger knew the channel: everything above it was charged here. */
  readonly baseAtomic: bigint
  /** [C] */
  readonly chargedAtomic: bigint
  /** [R], the sum over `running`. */
  readonly reservedAtomic: bigint
  /** [S] and its signature; undefined before the first voucher. */
  readonly signed: { readonly ceilingAtomic: bigint; readonly signature: Hex } | undefined
  /** Unique ceilings that were accepted, ascending, all above `floorAtomic`: everything up to that one is used. */
  readonly usedCeilings: readonly bigint[]
  readonly floorAtomic: bigint
  readonly running: readonly RunningCall[]
  /** The latest claim, and when it was sent. */
  readonly claim: { readonly totalAtomic: bigint; readonly sentAtMs: number } | undefined
  /** No unclaimed charge is older. Undefined when everything is claimed. */
  readonly unclaimedSinceMs: number | undefined
  readonly frozen: boolean
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
): Step<ChannelAccount> {
  if (event.type === 'channel-opened') {
    return account === undefined ? accept(openAccount(event)) : refuse('account-exists')
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
    case 'claim-sent': {
      const { totalAtomic, atMs: sentAtMs } = event
      if (totalAtomic < 0n || totalAtomic > account.chargedAtomic) return refuse('amount-invalid')
      return accept({ ...account, claim: { totalAtomic, sentAtMs } })
    }
    case 'channel-frozen':
      return accept({ ...account, frozen: true })
  }
}

/** S: the highest ceiling that the payer signed. */
export function signedCeilingAtomic({ signed }: ChannelAccount): bigint {
  return signed?.ceilingAtomic ?? 0n
}

/** B − W: what new calls may use up to. */
export function availableAtomic({ view, refunding }: ChannelAccount): bigint {
  return view.depositedAtomic - view.withdrawingAtomic - (refunding?.amountAtomic ?? 0n)
}

function openAccount(event: ChannelEvent & { readonly type: 'channel-opened' }): ChannelAccount {
  const { channelId, config, view } = event
  return {
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
    floorAtomic: 0n,
    running: [],
    claim: undefined,
    unclaimedSinceMs: undefined,
    frozen: false,
  }
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
    refunding:
      refunding !== undefined && view.refundNonce > refunding.nonce ? undefined : refunding,
    unclaimedSinceMs: claimedAll ? undefined : (since ?? 0),
    // Nobody but us should be able to claim, and we claim at most C (PA18.7).
    frozen: account.frozen || view.claimedAtomic > chargedAtomic,
  }
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
  const raises = ceilingAtomic > signedCeilingAtomic(account)
  return accept({
    ...account,
    ...ceilings.next,
    signed: raises ? { ceilingAtomic, signature } : account.signed,
    reservedAtomic: account.reservedAtomic + amountAtomic,
    running: [
      ...account.running,
      { callId, requestHash, ceilingAtomic, reservedAtomic: amountAtomic, provenAtomic: 0n },
    ],
  })
}

type Ceilings = Pick<ChannelAccount, 'mode' | 'usedCeilings' | 'floorAtomic'>

/** Whether the voucher may be used, and what is remembered of it (PA18.3, PA18.4). */
function judgeCeiling(account: ChannelAccount, event: CallReserved): Step<Ceilings> {
  const { mode, usedCeilings, floorAtomic, running, chargedAtomic, reservedAtomic } = account
  const { amountAtomic, ceilingAtomic } = event
  const staysStrict = mode === 'strict' && event.mode === 'strict'
  if (running.length >= (mode === 'strict' ? 1 : event.maxRunningCalls)) {
    return refuse('channel-busy')
  }
  if (staysStrict) {
    return ceilingAtomic === chargedAtomic + amountAtomic
      ? accept({ mode, usedCeilings, floorAtomic })
      : refuse('channel-ceiling-mismatch')
  }
  const signed = signedCeilingAtomic(account)
  const floor = mode === 'strict' ? signed : floorAtomic
  if (ceilingAtomic <= floor || usedCeilings.includes(ceilingAtomic)) {
    return refuse('channel-ceiling-used')
  }
  const highest = ceilingAtomic > signed ? ceilingAtomic : signed
  const coversItself = ceilingAtomic >= chargedAtomic + amountAtomic
  if (!coversItself || highest < chargedAtomic + reservedAtomic + amountAtomic) {
    return refuse('channel-ceiling-too-low')
  }
  const used = insert(usedCeilings, ceilingAtomic)
  const [lowest] = used
  return used.length > maxUsedCeilings && lowest !== undefined
    ? accept({ mode: 'unique-ceiling', usedCeilings: used.slice(1), floorAtomic: lowest })
    : accept({ mode: 'unique-ceiling', usedCeilings: used, floorAtomic: floor })
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
  return accept({
    ...account,
    chargedAtomic,
    ...withoutCall(account, call),
    // No ceiling up to C can be accepted again.
    usedCeilings: account.usedCeilings.filter((ceiling) => ceiling > chargedAtomic),
    unclaimedSinceMs:
      amountAtomic === 0n ? account.unclaimedSinceMs : (account.unclaimedSinceMs ?? atMs),
  })
}

function release(account: ChannelAccount, callId: string): Step<ChannelAccount> {
  const call = account.running.find((running) => running.callId === callId)
  if (call === undefined) return refuse('call-unknown')
  const usedCeilings = account.usedCeilings.filter((ceiling) => ceiling !== call.ceilingAtomic)
  return accept({ ...account, ...withoutCall(account, call), usedCeilings })
}

function signRefund(account: ChannelAccount, amountAtomic: bigint): Step<ChannelAccount> {
  const { chargedAtomic, running, view } = account
  if (account.frozen) return refuse('channel-frozen')
  if (running.length > 0) return refuse('channel-busy')
  if (availableAtomic(account) < view.depositedAtomic) return refuse('channel-withdrawing')
  if (amountAtomic < 1n || amountAtomic > view.depositedAtomic - chargedAtomic) {
    return refuse('refund-amount-invalid')
  }
  return accept({ ...account, refunding: { amountAtomic, nonce: view.refundNonce } })
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
