/** Charges whose settlement a reorganisation takes back are owed, and sent, again (spec/payment.md PA29.6). */
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { TransactionReceipt } from 'viem'
import { applyOwn } from '../channel/channel-context.ts'
import type { UptoPaymentRecord } from '../ledger/upto-account.ts'
import type { SettlementLook } from '../settlement-watch.ts'
import type { UptoSettlement } from './upto-settlement.ts'

type IsPaidBy = (
  receipt: TransactionReceipt,
  record: UptoPaymentRecord,
  amountAtomic: bigint,
) => boolean

/**
 * What an earlier process left settled is followed again: nobody noted how deep it was. Called once, before the first step.
 */
export function takeUpSettled({ ledger, watch }: UptoSettlement): void {
  for (const [key, { state }] of ledger.state.payments) {
    if (state.kind === 'settled' && state.chargedAtomic > 0n) watch?.follow(key, undefined)
  }
}

/** One look at what is not final. Rejects when the chain does not answer. */
export async function followUpto(settlement: UptoSettlement, isPaidBy: IsPaidBy): Promise<void> {
  const { ledger, watch } = settlement
  await watch?.step({
    look: (key, transaction) => look(settlement, isPaidBy, key, transaction),
    gone: (key) => {
      const record = ledger.state.payments.get(key)
      if (record?.state.kind !== 'settled') return
      // After a crash here it is charged and not settled: the next process sends it as any other.
      applyOwn(ledger, {
        type: 'upto-unsettled',
        payer: record.payer,
        nonce: record.permit.nonce,
      })
    },
    final: () => undefined,
  })
}

async function look(
  { ledger, findUse, findAnyReceipt }: UptoSettlement,
  isPaidBy: IsPaidBy,
  key: string,
  transaction: Hex | undefined,
): Promise<SettlementLook> {
  const record = ledger.state.payments.get(key)
  // It is not in the ledger any more: nothing is owed, and the watch forgets it in time.
  if (record?.state.kind !== 'settled') return { kind: 'there' }
  const { chargedAtomic } = record.state
  const known = transaction === undefined ? undefined : await findAnyReceipt?.(transaction)
  if (known !== undefined && isPaidBy(known, record, chargedAtomic)) {
    return { kind: 'there', blockNumber: known.blockNumber }
  }
  const use = await findUse(record.payer, record.permit.nonce)
  // Of an earlier process, and settled longer ago than is looked back: it is final.
  if (use.kind === 'otherwise' && transaction === undefined) return { kind: 'there' }
  if (use.kind !== 'settled' || use.amountAtomic !== chargedAtomic) return { kind: 'gone' }
  return { kind: 'there', transaction: use.transaction }
}
