/** What an attested key signs so that UptoSettler settles an `upto` payment (spec/contracts.md CO5). */

import type { TypedDataDomain } from 'viem'

/** The EIP-712 type, as viem takes it. */
export const uptoChargeTypes = {
  UptoCharge: [
    { name: 'payer', type: 'address' },
    { name: 'token', type: 'address' },
    { name: 'payee', type: 'address' },
    { name: 'nonce', type: 'uint256' },
    { name: 'amount', type: 'uint256' },
  ],
} as const

/** The domain of one settler on one chain. */
export function createUptoSettlerDomain(
  chainId: number,
  settler: `0x${string}`,
): TypedDataDomain & { readonly chainId: number } {
  return {
    name: 'Countersign Upto Settler',
    version: '1',
    chainId,
    verifyingContract: settler,
  }
}
