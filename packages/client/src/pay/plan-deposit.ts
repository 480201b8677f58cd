/** When a channel is filled, and with how much (spec/payment.md PA26). */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { ClientError } from '../errors.ts'
import {
  judgePayee,
  largest,
  refreshChannel,
  type ChannelCall,
  type ChannelContext,
  type LiveChannel,
} from './channel-book.ts'
import {
  availableAtomic,
  nextCeiling,
  type CeilingMode,
  type ChannelRecord,
  type PendingDeposit,
} from './channel-record.ts'

const lifetimeSeconds = 600n

/**
 * The deposit that this call brings, or `undefined` when it needs none. From then on others that need one wait until
 * `live.deposit.end`. The payee is judged, and the chain read, before each deposit.
 *
 * @throws ClientError `deposit-above-limit`, `chain-…`, what the check of the payee throws.
 */
export async function planDeposit(
  context: ChannelContext,
  call: ChannelCall,
  live: LiveChannel,
  mode: CeilingMode,
): Promise<PendingDeposit | undefined> {
  const { policy } = context
  const { amountAtomic } = call.terms.offer
  const missing = (reserve: bigint): bigint => {
    const record = live.record()
    return nextCeiling(record, amountAtomic, mode) + reserve - availableAtomic(record)
  }
  while (missing(policy.topUpBelowAtomic) > 0n) {
    if (live.deposit !== undefined) {
      // A top-up ahead of time holds nobody up who fits without it.
      if (missing(0n) <= 0n) return undefined
      await live.deposit.ended
      continue
    }
    const started = startDeposit(live)
    try {
      await judgePayee(context, call)
      await refreshAll(context, live)
      const needed = missing(policy.topUpBelowAtomic)
      if (needed > 0n) return chooseDeposit(context, call, live, needed)
    } catch (error) {
      started.end()
      if (isAboveLimit(error) && missing(0n) <= 0n) return undefined
      throw error
    }
    started.end()
  }
  return undefined
}

/** A top-up ahead of time that may not be is left out. */
export function isAboveLimit(error: unknown): boolean {
  return error instanceof ClientError && error.code === 'deposit-above-limit'
}

function startDeposit(live: LiveChannel): NonNullable<LiveChannel['deposit']> {
  const waiting: (() => void)[] = []
  const deposit = {
    ended: new Promise<void>((resolve) => {
      waiting.push(resolve)
    }),
    end: () => {
      live.deposit = undefined
      for (const resolve of waiting) resolve()
    },
  }
  live.deposit = deposit
  return deposit
}

function chooseDeposit(
  context: ChannelContext,
  { terms: { offer } }: ChannelCall,
  live: LiveChannel,
  needed: bigint,
): PendingDeposit {
  const { policy, now, random } = context
  const record = live.record()
  // One that was signed may be on its way: a second one beside it would be twice the money.
  if (record.deposit !== undefined) return record.deposit
  const amountAtomic = largest(policy.depositAtomic, largest(offer.minDepositAtomic, needed))
  judgeLocked(context, live, amountAtomic)
  const validBeforeSeconds = BigInt(Math.floor(now() / 1000)) + lifetimeSeconds
  return { amountAtomic, salt: `0x${toHex(random(32))}`, validBeforeSeconds }
}

/** @throws ClientError `deposit-above-limit` when so much more would lie with this gateway than may. */
export function judgeLocked(
  context: ChannelContext,
  live: LiveChannel,
  amountAtomic: bigint,
): void {
  const { maxLockedAtomic } = context.policy
  const lockedAtomic = allOf(context, live).reduce(
    (sum, each) => sum + lockedIn(each),
    amountAtomic,
  )
  if (lockedAtomic <= maxLockedAtomic) return
  throw new ClientError('deposit-above-limit', { detail: `${lockedAtomic} > ${maxLockedAtomic}` })
}

/** The channels with this gateway: it chooses how many there are, by the terms that it names. */
function allOf({ state }: ChannelContext, live: LiveChannel): readonly ChannelRecord[] {
  const { origin, network, config } = live.record()
  return [...state.channels.values()].filter(
    (each) =>
      each.origin === origin &&
      each.network === network &&
      each.config.token === config.token &&
      each.config.payer === config.payer,
  )
}

function lockedIn({ balanceAtomic, settledAtomic, deposit }: ChannelRecord): bigint {
  return largest(balanceAtomic - settledAtomic, 0n) + (deposit?.amountAtomic ?? 0n)
}

/** What was withdrawn since lies there no more. */
async function refreshAll(context: ChannelContext, live: LiveChannel): Promise<void> {
  for (const { channelId } of allOf(context, live)) {
    if (channelId === live.channelId) await live.refresh()
    else await refreshChannel(context, live.contracts, channelId)
  }
}
