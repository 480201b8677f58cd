/** A call that is paid by a signed maximum (spec/payment.md PA17). */
import { encodeWord } from '@countersign/protocol/payment/evm-word'
import type { UptoTerms } from '@countersign/protocol/payment/upto-payload'
import type { Charge } from '@countersign/protocol/receipt/charge'
import type { AdmittedPayment } from '../admission.ts'
import type { UptoReservation } from '../upto/admit-upto-payment.ts'
import { createMeteredEnd } from './metered-end.ts'
import { describeUptoCharge } from './payment-response.ts'

/** The payment of a reservation that is on the disk. */
export function createUptoPayment(terms: UptoTerms, reservation: UptoReservation): AdmittedPayment {
  const { payer, ceilingAtomic, nonce } = reservation
  const end = createMeteredEnd(reservation)
  return {
    payer: `address:${payer}`,
    // What is charged does not depend on when it is settled: an answer never waits.
    release: () => Promise.resolve({ kind: 'released', headers: {} } as const),
    releases: 'free-whole',
    complete: async (result, usedAtomic = ceilingAtomic) => {
      end.stopProgress()
      const amountAtomic = result === 'used' ? least(usedAtomic, ceilingAtomic) : 0n
      const charge = describeUptoPayment(terms, nonce, amountAtomic)
      if (result === 'unused') {
        await reservation.release()
        return charge
      }
      // A cut answer uses the payment up for nothing: a part of it has left (PA14.3).
      await reservation.charge(amountAtomic)
      end.charged(describeUptoCharge(terms.network, payer, charge))
      return charge
    },
    metered: end,
  }
}

/** The charge of an `upto` payment as receipts have it (spec/receipt.md RC2). */
export function describeUptoPayment(
  { network, asset }: { readonly network: string; readonly asset: string },
  nonce: bigint,
  amountAtomic: bigint,
): Charge {
  return { scheme: 'upto', amountAtomic, network, asset, paymentId: encodeWord(nonce) }
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
