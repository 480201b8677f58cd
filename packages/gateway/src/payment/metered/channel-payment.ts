/** A call that is paid from a channel (spec/payment.md PA18). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { Charge } from '@countersign/protocol/receipt/charge'
import type { AdmittedPayment } from '../admission.ts'
import { leastStrictAtomic, type ChannelReservation } from '../channel/admit-channel-payment.ts'
import type { ChannelContext } from '../channel/channel-context.ts'
import { createMeteredEnd } from './metered-end.ts'
import { describeChannelCharge } from './payment-response.ts'

/**
 * The payment of a reservation that is on the disk.
 *
 * @param isDeposit - the payment brought a deposit: its payer must hear of it before a stream, or it deposits again.
 */
export function createChannelPayment(
  { terms, ledger }: Pick<ChannelContext, 'terms' | 'ledger'>,
  reservation: ChannelReservation,
  isDeposit: boolean,
): AdmittedPayment {
  const { channelId, ceilingAtomic } = reservation
  const { network } = terms
  const end = createMeteredEnd(reservation)
  const account = (): ReturnType<typeof ledger.state.channels.get> =>
    ledger.state.channels.get(channelId)
  const opened = account()
  if (opened === undefined) throw new Error('a reservation without its channel')
  const { payer, payerAuthorizer } = opened.config
  return {
    // Who signed. Anybody can fill a channel in the name of somebody else, with a key of its own to sign for it.
    payer: `address:${payerAuthorizer}`,
    release: async (form) => {
      if (form !== 'stream') return { kind: 'released', headers: {} }
      if (account()?.mode === 'strict' && reservation.provenAtomic < leastStrictAtomic) {
        // Nobody had asked for a stream. A crash from here on uses the voucher up: a part of the answer may have left (PA20.4).
        end.progress(leastStrictAtomic)
        await ledger.durable()
      }
      const headers = isDeposit
        ? describeChannelCharge(network, payer, 0n, reservation.channelStateBefore())
        : {}
      return { kind: 'released', headers }
    },
    releases: 'free-whole',
    complete: async (result, usedAtomic = ceilingAtomic) => {
      end.stopProgress()
      if (result === 'unused') {
        await reservation.release()
        return describeChannelPayment(terms, channelId, 0n, account()?.chargedAtomic ?? 0n)
      }
      const leastAtomic = account()?.mode === 'strict' ? leastStrictAtomic : 0n
      const amountAtomic = clamp(result === 'used' ? usedAtomic : 0n, leastAtomic, ceilingAtomic)
      const charged = await reservation.charge(amountAtomic)
      end.charged(describeChannelCharge(network, payer, amountAtomic, charged.channelState))
      return describeChannelPayment(terms, channelId, amountAtomic, charged.cumulativeAtomic)
    },
    metered: end,
  }
}

/** The charge of a channel as receipts have it (spec/receipt.md RC2.7). */
export function describeChannelPayment(
  { network, asset }: { readonly network: string; readonly asset: string },
  channelId: Hex,
  amountAtomic: bigint,
  cumulativeAtomic: bigint,
): Charge {
  const paymentId = Buffer.from(channelId.slice(2), 'hex')
  return { scheme: 'batch-settlement', amountAtomic, network, asset, paymentId, cumulativeAtomic }
}

function clamp(value: bigint, least: bigint, most: bigint): bigint {
  if (value < least) return least
  return value > most ? most : value
}
