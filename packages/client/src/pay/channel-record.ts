/**
 * What a payer knows of its channel, and the functions that change it (spec/payment.md PA18, PA26). At every instant the
 * gateway's C lies between `settledAtomic` and that plus all that is pending; nothing is ever signed twice, and no
 * ceiling of a channel with unique ceilings is ever signed below one that was signed before.
 */
import type { ChannelConfig } from '@countersign/protocol/payment/channel'
import type { Hex } from '@countersign/protocol/payment/evm-word'

/** A call that was signed and whose charge is not known. */
export type PendingCall = {
  readonly id: string
  readonly ceilingAtomic: bigint
  /** The most that it can be charged. */
  readonly amountAtomic: bigint
  readonly sentAtMs: number
  /** Nobody waits for it any more: its connection broke, or the process that sent it is gone. */
  readonly isLost: boolean
}

/** A deposit that was signed and is not known to be on chain. The same one is shown again, never a second one. */
export type PendingDeposit = {
  readonly amountAtomic: bigint
  readonly salt: Hex
  readonly validBeforeSeconds: bigint
}

/** One channel. Amounts are cumulative but those of pending calls; in brackets their letter in PA18. */
export type ChannelRecord = {
  readonly channelId: Hex
  readonly config: ChannelConfig
  /** Origin of the gateway that it was opened for. */
  readonly origin: string
  readonly network: string
  /** [B], as the chain said last. */
  readonly balanceAtomic: bigint
  /** [K] */
  readonly claimedAtomic: bigint
  /** Asked back by us. */
  readonly withdrawingAtomic: bigint
  /** [C], as far as receipts proved it. */
  readonly settledAtomic: bigint
  /** [S]: the highest ceiling that we ever signed, shown to anybody or not. */
  readonly signedAtomic: bigint
  readonly pending: readonly PendingCall[]
  readonly deposit: PendingDeposit | undefined
  /** Why nothing is signed any more: the gateway did what it must not. */
  readonly stopped: string | undefined
}

/** How ceilings are chosen (PA18.3, PA18.4). */
export type CeilingMode = 'strict' | 'unique-ceiling'

/** What a gateway said of a channel, after its form was checked (PA22.1). */
export type ChannelCorrection = {
  readonly chargedAtomic: bigint
  readonly reservedAtomic: bigint
  /** S as the gateway has it, when our own key signed it. */
  readonly provenSignedAtomic: bigint
  /** The most that calls were charged that ended since the refused one was signed; default 0. */
  readonly endedAtomic?: bigint
}

/** A change, or why the gateway is not to be believed. */
export type Judged =
  | { readonly kind: 'accepted'; readonly record: ChannelRecord }
  | { readonly kind: 'refused'; readonly reason: string }

/** A channel of which nothing is known but its terms. */
export function createChannelRecord(
  identity: Pick<ChannelRecord, 'channelId' | 'config' | 'origin' | 'network'>,
): ChannelRecord {
  return {
    ...identity,
    balanceAtomic: 0n,
    claimedAtomic: 0n,
    withdrawingAtomic: 0n,
    settledAtomic: 0n,
    signedAtomic: 0n,
    pending: [],
    deposit: undefined,
    stopped: undefined,
  }
}

/** The ceiling to sign for a call that costs at most this. */
export function nextCeiling(
  { settledAtomic, signedAtomic, pending }: ChannelRecord,
  amountAtomic: bigint,
  mode: CeilingMode,
): bigint {
  // One call at a time, and the gateway asks for exactly this (PA18.3).
  if (mode === 'strict') return settledAtomic + amountAtomic
  const needed = settledAtomic + sumOf(pending) + amountAtomic
  return needed > signedAtomic ? needed : signedAtomic + 1n
}

/** What ceilings may reach. */
export function availableAtomic({ balanceAtomic, withdrawingAtomic }: ChannelRecord): bigint {
  return balanceAtomic - withdrawingAtomic
}

/** The record once this call is signed. To be kept before the signature leaves. */
export function addCall(
  record: ChannelRecord,
  call: Omit<PendingCall, 'isLost'>,
  deposit: PendingDeposit | undefined,
): ChannelRecord {
  const { signedAtomic, pending } = record
  const { ceilingAtomic } = call
  return {
    ...record,
    signedAtomic: ceilingAtomic > signedAtomic ? ceilingAtomic : signedAtomic,
    pending: [...pending, { ...call, isLost: false }],
    deposit: deposit ?? record.deposit,
  }
}

/** The gateway refused the call: it is charged nothing. The ceiling stays signed. */
export function releaseCall(record: ChannelRecord, id: string): ChannelRecord {
  return { ...record, pending: record.pending.filter((call) => call.id !== id) }
}

/** Nobody knows what the call was charged. */
export function loseCall(record: ChannelRecord, id: string): ChannelRecord {
  const pending = record.pending.map((call) => (call.id === id ? { ...call, isLost: true } : call))
  return { ...record, pending }
}

/**
 * A verified receipt said what the call was charged, and what the channel in all.
 *
 * @param wasAlone no other call ran beside it and the lost ones are over: then the total says what those were charged.
 */
export function settleCall(
  record: ChannelRecord,
  id: string,
  charge: { readonly amountAtomic: bigint; readonly cumulativeAtomic: bigint },
  wasAlone: boolean,
): Judged {
  const call = record.pending.find((pending) => pending.id === id)
  // Of a lost call that was settled by a total since then, nothing is left to say.
  if (call === undefined) return { kind: 'accepted', record }
  if (charge.amountAtomic > call.amountAtomic) {
    return refuse(`a call of at most ${call.amountAtomic} was charged ${charge.amountAtomic}`)
  }
  const rest = releaseCall(record, id)
  const settledAtomic = record.settledAtomic + charge.amountAtomic
  // Calls one at a time may have been signed under the same ceiling: all of them together cost no more than that.
  const mostAtomic = least(mostOwed(rest) + charge.amountAtomic, record.signedAtomic)
  if (charge.cumulativeAtomic > mostAtomic) {
    return refuse(
      `the channel was charged ${charge.cumulativeAtomic}, at most ${mostAtomic} is owed`,
    )
  }
  if (!wasAlone) return { kind: 'accepted', record: { ...rest, settledAtomic } }
  // Less than we know to be charged is the gateway's own loss, but no reason to sign lower ceilings.
  const total = charge.cumulativeAtomic > settledAtomic ? charge.cumulativeAtomic : settledAtomic
  return { kind: 'accepted', record: { ...rest, settledAtomic: total, pending: [] } }
}

/**
 * A gateway that knows another state than we. It is believed as far as our own signature, or what we know to be pending,
 * bears it out; what it claims beyond that is a lie.
 */
export function correctChannel(
  record: ChannelRecord,
  correction: ChannelCorrection,
  mode: CeilingMode,
  nowMs: number,
): Judged {
  const { chargedAtomic, reservedAtomic, provenSignedAtomic, endedAtomic = 0n } = correction
  const { settledAtomic, signedAtomic, claimedAtomic, pending } = record
  const isForgotten = provenSignedAtomic > signedAtomic
  const mostAtomic = isForgotten ? provenSignedAtomic : mostOwed(record)
  if (chargedAtomic > mostAtomic) {
    return refuse(`the gateway says ${chargedAtomic} was charged, at most ${mostAtomic} was signed`)
  }
  if (chargedAtomic < claimedAtomic) {
    return refuse(`the gateway says ${chargedAtomic} was charged, but claimed ${claimedAtomic}`)
  }
  const highestAtomic = isForgotten ? provenSignedAtomic : signedAtomic
  if (chargedAtomic + reservedAtomic > highestAtomic) {
    return refuse(`the gateway reserves ${reservedAtomic} above what was signed`)
  }
  const known = { ...record, signedAtomic: highestAtomic }
  if (mode === 'strict') {
    return { kind: 'accepted', record: { ...known, settledAtomic: chargedAtomic, pending: [] } }
  }
  // What the gateway charged and reserves beyond our own calls is of calls that we forgot. Our calls under way, and
  // those that ended since it looked, do not explain what it had before them.
  const lost = pending.filter(({ isLost }) => isLost)
  const explainedAtomic = isForgotten ? settledAtomic + sumOf(lost) - endedAtomic : mostOwed(record)
  const forgottenAtomic = chargedAtomic + reservedAtomic - explainedAtomic
  if (forgottenAtomic <= 0n) {
    return { kind: 'accepted', record: raiseSettled(known, chargedAtomic) }
  }
  const forgotten = {
    id: 'forgotten',
    ceilingAtomic: highestAtomic,
    amountAtomic: forgottenAtomic,
    sentAtMs: nowMs,
    isLost: true,
  }
  const corrected = { ...known, pending: [...pending, forgotten] }
  return { kind: 'accepted', record: raiseSettled(corrected, chargedAtomic) }
}

/**
 * A claim, or the gateway, shows that C is at least this. What calls under way can explain is left to their receipts; the
 * rest is taken off the lost calls, so that none of them is paid for twice.
 */
export function raiseSettled(record: ChannelRecord, shownAtomic: bigint): ChannelRecord {
  const running = record.pending.filter(({ isLost }) => !isLost)
  const settledAtomic = shownAtomic - sumOf(running)
  let restAtomic = settledAtomic - record.settledAtomic
  if (restAtomic <= 0n) return record
  const pending = record.pending.flatMap((call) => {
    if (!call.isLost) return [call]
    const takenAtomic = least(restAtomic, call.amountAtomic)
    restAtomic -= takenAtomic
    const amountAtomic = call.amountAtomic - takenAtomic
    return amountAtomic === 0n ? [] : [{ ...call, amountAtomic }]
  })
  return { ...record, pending, settledAtomic }
}

/** Whether all calls that were lost are over, because the time that a call may take has passed. */
export function areLostCallsOver(
  { pending }: ChannelRecord,
  nowMs: number,
  longestCallMs: number,
): boolean {
  const lost = pending.filter(({ isLost }) => isLost)
  return lost.length > 0 && lost.every(({ sentAtMs }) => nowMs >= sentAtMs + longestCallMs)
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function mostOwed({ settledAtomic, pending }: ChannelRecord): bigint {
  return settledAtomic + sumOf(pending)
}

function sumOf(pending: readonly PendingCall[]): bigint {
  return pending.reduce((sum, { amountAtomic }) => sum + amountAtomic, 0n)
}

function refuse(reason: string): Judged {
  return { kind: 'refused', reason }
}
