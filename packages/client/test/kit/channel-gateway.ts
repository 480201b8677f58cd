/** A record of a channel, and a gateway before it that keeps spec/payment.md PA18.4. */
import {
  addCall,
  createChannelRecord,
  nextCeiling,
  type ChannelRecord,
  type Judged,
} from '../../src/pay/channel-record.ts'

const address = `0x${'11'.repeat(20)}` as const
/** A record of which nothing is known. */
export const fresh = createChannelRecord({
  channelId: `0x${'22'.repeat(32)}`,
  origin: 'http://127.0.0.1',
  network: 'eip155:84532',
  config: {
    payer: address,
    payerAuthorizer: address,
    receiver: address,
    receiverAuthorizer: address,
    token: address,
    withdrawDelaySeconds: 900n,
    salt: `0x${'00'.repeat(32)}`,
  },
})

/** The record after a change. @throws Error when it was refused. */
export function accepted(judged: Judged): ChannelRecord {
  if (judged.kind === 'refused') throw new Error(judged.reason)
  return judged.record
}

/** Signs a call with a unique ceiling. */
export function pay(record: ChannelRecord, id: string, amountAtomic: bigint): ChannelRecord {
  const ceilingAtomic = nextCeiling(record, amountAtomic, 'unique-ceiling')
  return addCall(record, { id, ceilingAtomic, amountAtomic, sentAtMs: 0 }, undefined)
}

/** A gateway that keeps PA18.4: what it accepts, and what C and S are. */
export function createGateway(past = { charged: 0n, signed: 0n, reserved: 0n }) {
  const used = new Set<bigint>([past.signed])
  const running = new Map<string, bigint>()
  if (past.reserved > 0n) running.set('past', past.reserved)
  let { charged, signed } = past
  const sum = (): bigint => [...running.values()].reduce((a, b) => a + b, 0n)
  return {
    admit: (id: string, amount: bigint, ceiling: bigint): boolean => {
      const most = ceiling > signed ? ceiling : signed
      if (used.has(ceiling) || ceiling < charged + amount) return false
      if (most < charged + sum() + amount) return false
      used.add(ceiling)
      signed = most
      running.set(id, amount)
      return true
    },
    charge: (id: string, amount: bigint) => {
      running.delete(id)
      charged += amount
      return { amountAtomic: amount, cumulativeAtomic: charged }
    },
    charged: () => charged,
    reserved: sum,
    signed: () => signed,
  }
}
