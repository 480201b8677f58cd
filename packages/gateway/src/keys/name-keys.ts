/** The charge keys that a keyset names. */
import type { Keyset } from '@countersign/protocol/receipt/keyset'
import type { SettlementKeys } from '../payment/charge-key/charge-keys.ts'
import type { NamedSettlement } from './confirm-keys.ts'

/** Those of this moment. */
export function nameKeys(keys: SettlementKeys): NamedSettlement {
  const { address, others } = keys.named()
  return { address, others, confirm: (message) => keys.confirm(address, message) }
}

/** As the keyset has them (spec/statement.md ST4.1). */
export function describeKeys({
  address: settlementAddress,
  others,
}: NamedSettlement): Pick<Keyset, 'settlementAddress' | 'otherChargeKeys'> {
  return {
    settlementAddress,
    ...(others.length === 0 ? {} : { otherChargeKeys: others }),
  }
}
