/**
 * Pays calls from channels (spec/payment.md PA18, PA26). The order that money depends on: judge, count, change the record,
 * keep it durably, sign, send. A crash between any two of them leaves a record that says at least as much as was signed.
 */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { decodeChannelId } from '@countersign/protocol/payment/channel'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { ClientError } from '../errors.ts'
import {
  createChannelBook,
  largest,
  refuseStopped,
  type ChannelCall,
  type ChannelContext,
  type ChannelPolicy,
  type LiveChannel,
} from './channel-book.ts'
import {
  addCall,
  areLostCallsOver,
  availableAtomic,
  correctChannel,
  loseCall,
  nextCeiling,
  raiseSettled,
  releaseCall,
  settleCall,
  type CeilingMode,
  type ChannelRecord,
  type Judged,
  type PendingDeposit,
} from './channel-record.ts'
import { signChannelPayload } from './channel-voucher.ts'
import { encodePaymentHeader, uniqueCeilingMembers } from './payment-header.ts'
import type { ChannelOffer } from './payment-required.ts'
import { isAboveLimit, judgeLocked, planDeposit } from './plan-deposit.ts'
import { readCorrection } from './read-correction.ts'

/** A voucher, with a deposit or without, for one call. */
export type SignedVoucher = {
  /** Value of PAYMENT-SIGNATURE. */
  readonly header: string
  /** The channel id: the payment id in the receipt. */
  readonly paymentId: Uint8Array
  readonly channelId: Hex
  readonly callId: string
}

/** Owner of all channels of one wallet. Each signed voucher must end once: settled, released or lost. */
export type ChannelPayer = {
  /** Waits for its turn, then signs. @throws ClientError; nothing was shown to anybody then. */
  sign(call: ChannelCall): Promise<SignedVoucher>
  /** A verified receipt. @throws ClientError `channel-overcharged`: nothing is signed for the channel any more. */
  settle(
    voucher: SignedVoucher,
    charge: { readonly amountAtomic: bigint; readonly cumulativeAtomic: bigint },
  ): Promise<void>
  /** The gateway refused the call before it served anything. */
  release(voucher: SignedVoucher): void
  /** Nobody knows. */
  lose(voucher: SignedVoucher): void
  /**
   * Takes over what a corrective offer says, if it can be true. False when the offer says nothing of the channel.
   *
   * @throws ClientError `channel-correction-false`: nothing is signed for the channel any more.
   */
  correct(voucher: SignedVoucher, offer: ChannelOffer): Promise<boolean>
}

// A call that was lost is over after the longest time that an offer may give it, and some more for clocks.
const callSlackMs = 120_000
const maxReasonLength = 200

/** A payer for all channels of this state. */
export function createChannelPayer(context: ChannelContext): ChannelPayer {
  const { policy, now, state } = context
  const book = createChannelBook(context)

  /** Ends the turn of a voucher with a change of its record; it may have ended before. */
  function end(
    { channelId, callId }: SignedVoucher,
    change: (record: ChannelRecord) => ChannelRecord,
    isCharged: boolean,
  ): void {
    const live = book.get(channelId)
    const call = live.running.get(callId)
    if (call === undefined) return
    live.running.delete(callId)
    const before = live.record()
    live.put(change(before))
    const ended = isCharged ? before.pending.find(({ id }) => id === callId) : undefined
    live.endedAtomic += ended?.amountAtomic ?? 0n
    keepSoon()
    live.gate.leave()
    if (call.hasDeposit) live.deposit?.end()
  }

  // Nobody waits: a file that forgets this is only more careful, and the next signature reports a disk that fails.
  function keepSoon(): void {
    state.durable().catch(() => undefined)
  }

  function stop(live: LiveChannel, judged: Judged & { readonly kind: 'refused' }): void {
    live.put({ ...live.record(), stopped: judged.reason.slice(0, maxReasonLength) })
    keepSoon()
  }

  return {
    sign: async (call) => {
      const live = await book.open(call)
      const { offer } = call.terms
      const isStrict = modeOf(offer, policy) === 'strict'
      const longestMs = offer.maxTimeoutSeconds * 1000 + callSlackMs
      const isAlone = isStrict || areLostCallsOver(live.record(), now(), longestMs)
      const limit = isStrict ? 1 : Math.min(offer.maxRunningCalls, policy.maxRunningCalls)
      await live.gate.enter(limit, isAlone, call.signal)
      try {
        return await signInTurn(context, call, live, isAlone)
      } catch (error) {
        live.gate.leave()
        throw error
      }
    },
    settle: async (voucher, charge) => {
      const live = book.get(voucher.channelId)
      const call = live.running.get(voucher.callId)
      if (call === undefined) return
      if (call.hasDeposit) await tryRefresh(live)
      const judged = settleCall(live.record(), voucher.callId, charge, call.isAlone)
      // What the gateway did wrong stays owed as it was: the most that it can take is what was signed.
      end(voucher, (record) => (judged.kind === 'accepted' ? judged.record : record), true)
      if (judged.kind === 'accepted') return
      stop(live, judged)
      throw new ClientError('channel-overcharged', { detail: judged.reason })
    },
    release: (voucher) => end(voucher, (record) => releaseCall(record, voucher.callId), false),
    lose: (voucher) => end(voucher, (record) => loseCall(record, voucher.callId), true),
    correct: async ({ channelId, callId }, offer) => {
      const live = book.get(channelId)
      const correction = readCorrection(offer.json, live.record(), live.contracts)
      if (correction === undefined) return false
      const call = live.running.get(callId)
      if (call === undefined) return false
      // Receipts that come meanwhile are judged with this call: another may have been admitted by its ceiling.
      await live.refresh()
      // Refused, it explains nothing of what the chain shows.
      const released = releaseCall(live.record(), callId)
      const record = raiseSettled(released, released.claimedAtomic)
      // Whoever lost its memory can sign the very ceilings that it signed before.
      const signedBefore = live.isBlank ? 0n : record.signedAtomic
      // What was claimed since the gateway answered says nothing of its answer.
      const known = { ...record, signedAtomic: signedBefore, claimedAtomic: call.claimedAtomic }
      const told = { ...correction, endedAtomic: live.endedAtomic - call.endedAtomic }
      const judged = correctChannel(known, told, modeOf(offer, policy), now())
      if (judged.kind === 'refused') {
        stop(live, judged)
        throw new ClientError('channel-correction-false', { detail: judged.reason })
      }
      const signedAtomic = largest(judged.record.signedAtomic, record.signedAtomic)
      live.put({ ...judged.record, signedAtomic, claimedAtomic: record.claimedAtomic })
      live.isBlank = false
      return true
    },
  }
}

async function signInTurn(
  context: ChannelContext,
  call: ChannelCall,
  live: LiveChannel,
  isAlone: boolean,
): Promise<SignedVoucher> {
  const { signer, state, policy, random } = context
  const { terms, token } = call
  const mode = modeOf(terms.offer, policy)
  refuseStopped(live.record())
  const callId = toHex(random(16))
  const planned = await planDeposit(context, call, live, mode)
  let deposit = planned
  try {
    const { channelId } = live
    const record = live.record()
    // In one step, so that nothing comes between the choice of a ceiling and the record of it.
    deposit = rejudgeDeposit(context, call, live, planned)
    if (deposit === undefined && planned !== undefined) live.deposit?.end()
    const ceilingAtomic = reserveCeiling(context, call, live, callId, deposit)
    const hasDeposit = deposit !== undefined
    if (record.signedAtomic === 0n && record.deposit === undefined && !hasDeposit) {
      live.isBlank = true
    }
    const { claimedAtomic } = record
    live.running.set(callId, { isAlone, hasDeposit, claimedAtomic, endedAtomic: live.endedAtomic })
    await state.durable()
    const paid = deposit === undefined ? undefined : { ...deposit, token }
    const payload = await signChannelPayload(signer, live.contracts, record, ceilingAtomic, paid)
    const added = mode === 'unique-ceiling' ? uniqueCeilingMembers : undefined
    const header = encodePaymentHeader(terms, payload, added)
    return { header, paymentId: decodeChannelId(channelId), channelId, callId }
  } catch (error) {
    // Signed or not, nobody was shown it. Its ceiling is not signed again.
    live.running.delete(callId)
    live.put(releaseCall(live.record(), callId))
    if (deposit !== undefined) live.deposit?.end()
    throw error
  }
}

/** Another channel may have taken a deposit since this one was chosen. @throws ClientError `deposit-above-limit`. */
function rejudgeDeposit(
  context: ChannelContext,
  { terms: { offer } }: ChannelCall,
  live: LiveChannel,
  deposit: PendingDeposit | undefined,
): PendingDeposit | undefined {
  const record = live.record()
  if (deposit === undefined || record.deposit !== undefined) return deposit
  try {
    judgeLocked(context, live, deposit.amountAtomic)
    return deposit
  } catch (error) {
    const ceilingAtomic = nextCeiling(record, offer.amountAtomic, modeOf(offer, context.policy))
    if (isAboveLimit(error) && ceilingAtomic <= availableAtomic(record)) return undefined
    throw error
  }
}

function reserveCeiling(
  context: ChannelContext,
  { origin, terms: { offer } }: ChannelCall,
  live: LiveChannel,
  callId: string,
  deposit: PendingDeposit | undefined,
): bigint {
  const { ledger, policy, now } = context
  const record = live.record()
  refuseStopped(record)
  const { amountAtomic, network, asset } = offer
  const ceilingAtomic = nextCeiling(record, amountAtomic, modeOf(offer, policy))
  const availableThen = availableAtomic(record) + (deposit?.amountAtomic ?? 0n)
  if (ceilingAtomic > availableThen) {
    throw new ClientError('channel-too-small', { detail: `${ceilingAtomic} > ${availableThen}` })
  }
  // What can be lost grows by this much, and by nothing when the ceiling lies below one that was signed.
  const grownAtomic = largest(ceilingAtomic - record.signedAtomic, 0n)
  ledger.reserve({ origin, network, asset }, grownAtomic)
  live.put(addCall(record, { id: callId, ceilingAtomic, amountAtomic, sentAtMs: now() }, deposit))
  return ceilingAtomic
}

/** A deposit that cannot be seen now is looked for again before the next one. */
async function tryRefresh(live: LiveChannel): Promise<void> {
  try {
    await live.refresh()
  } catch (error) {
    if (!(error instanceof ClientError)) throw error
  }
}

function modeOf({ maxRunningCalls }: ChannelOffer, policy: ChannelPolicy): CeilingMode {
  return maxRunningCalls > 1 && policy.maxRunningCalls > 1 ? 'unique-ceiling' : 'strict'
}
