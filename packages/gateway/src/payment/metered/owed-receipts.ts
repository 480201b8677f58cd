/** Receipts of charges whose calls were cut by a crash (spec/payment.md PA20.5, spec/receipt.md RC4.13). */
import type { Charge } from '@countersign/protocol/receipt/charge'
import { encodeWord } from '@countersign/protocol/payment/evm-word'
import { applyOwn } from '../channel/channel-context.ts'
import type { ChargeRecord } from '../ledger/ledger.ts'
import { describeChannelPayment } from './channel-payment.ts'
import type { OpenMetered } from './open-metered.ts'
import { describeUptoPayment } from './upto-payment.ts'

/** A charge without a receipt. */
export type OwedReceipt = {
  /** 32 hex digits: the receipt id. */
  readonly callId: string
  readonly requestHash: Uint8Array
  readonly charge: Charge
  /** The receipt is on the disk. */
  stored(): void
}

/** What the process before this one did not get to. */
export function listOwedReceipts({ ledger, upto, channel }: OpenMetered): readonly OwedReceipt[] {
  const terms = upto?.terms ?? channel?.terms
  if (terms === undefined) return []
  return Array.from(ledger.state.owedReceipts.values(), (record) => ({
    callId: record.callId,
    requestHash: encodeWord(record.requestHash),
    charge: toCharge(terms, record),
    stored: () => {
      applyOwn(ledger, { type: 'receipt-issued', callId: record.callId })
    },
  }))
}

function toCharge(
  terms: { readonly network: string; readonly asset: string },
  { amountAtomic, payment }: ChargeRecord,
): Charge {
  return payment.kind === 'upto'
    ? describeUptoPayment(terms, payment.nonce, amountAtomic)
    : describeChannelPayment(terms, payment.channelId, amountAtomic, payment.cumulativeAtomic)
}
