/** Charge keys that stored keysets name: what a program may sign by while the gateway is stopped (spec/payment.md PA28.7). */
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import type { ReceiptStore } from './receipt-store.ts'

// A key lives a day, and settles for two more: some hundred keysets at most, also of many workers.
const maxKeysets = 1000

/** Which of these addresses (EIP-55) the latest keysets name, in the order given. */
export function findNamedKeys(
  receipts: Pick<ReceiptStore, 'latestKeysets'>,
  addresses: readonly string[],
): readonly string[] {
  const named = new Set(receipts.latestKeysets(maxKeysets).flatMap(listKeys))
  return addresses.filter((address) => named.has(address))
}

function listKeys(statement: Uint8Array): readonly string[] {
  const { payload } = parseStatement(statement)
  if (payload.type !== 'keyset') return []
  const { settlementAddress, otherChargeKeys = [] } = parseKeyset(payload.document)
  return settlementAddress === undefined ? [] : [settlementAddress, ...otherChargeKeys]
}
