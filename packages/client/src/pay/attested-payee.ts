/** Whether an attested keyset names who is to be paid (spec/statement.md ST4.1). */
import type { Keyset } from '@countersign/protocol/receipt/keyset'
import type { Offer } from './payment-required.ts'

/** Network, asset and address of the offer are those of one of the payees. */
export function namesPayee(
  { payees = [] }: Keyset,
  { network, asset, payTo }: Pick<Offer, 'network' | 'asset' | 'payTo'>,
): boolean {
  return payees.some(
    (payee) =>
      payee.network === network &&
      payee.asset.toLowerCase() === asset &&
      payee.address.toLowerCase() === payTo,
  )
}
