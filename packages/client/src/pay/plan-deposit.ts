/** When a channel is filled, and with how much (spec/payment.md PA26). */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { ClientError } from '../errors.ts'
import {
  judgePayee,
  largest,
  type ChannelCall,
  type ChannelContext,
  type LiveChannel,
} from './channel-book.ts'
import {
  availableAtomic,
  nextCeiling,
  type CeilingMode,
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
      await live.refresh()
      const needed = missing(policy.topUpBelowAtomic)
      if (needed > 0n) return chooseDeposit(context, call, live, needed)
    } catch (error) {
      started.end()
      const isEarly = error instanceof ClientError && error.code === 'deposit-above-limit'
      if (isEarly && missing(0n) <= 0n) return undefined
      throw error
    }
    started.end()
  }
  return undefined
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
  { policy, now, random }: ChannelContext,
  { terms: { offer } }: ChannelCall,
  live: LiveChannel,
  needed: bigint,
): PendingDeposit {
  const record = live.record()
  // One that was signed may be on its way: a second one beside it would be twice the money.
  if (record.deposit !== undefined) return record.deposit
  const { depositAtomic, maxLockedAtomic } = policy
  const amountAtomic = largest(depositAtomic, largest(offer.minDepositAtomic, needed))
  const lockedAtomic = record.balanceAtomic - record.settledAtomic + amountAtomic
  if (lockedAtomic > maxLockedAtomic) {
    const detail = `${lockedAtomic} > ${maxLockedAtomic}`
    throw new ClientError('deposit-above-limit', { detail })
  }
  const validBeforeSeconds = BigInt(Math.floor(now() / 1000)) + lifetimeSeconds
  return { amountAtomic, salt: `0x${toHex(random(32))}`, validBeforeSeconds }
}
