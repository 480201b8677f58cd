/** What the gateway's key signs so that an `upto` payment is settled with the metered amount, and no other. */
import { createDomainSeparator, hashStruct, hashText, hashTypedData } from './eip712.ts'
import type { Hex } from './evm-word.ts'

/** The charge of one payment; `nonce` is its Permit2 nonce. */
export type UptoCharge = {
  readonly payer: Hex
  readonly token: Hex
  readonly payee: Hex
  readonly nonce: bigint
  readonly amountAtomic: bigint
}

const chargeHash = hashText(
  'UptoCharge(address payer,address token,address payee,uint256 nonce,uint256 amount)',
)

/** The digest of charges for the settler contract at this address. */
export function createUptoChargeHasher(
  chainId: bigint,
  settler: Hex,
): (charge: UptoCharge) => Uint8Array {
  const separator = createDomainSeparator({
    name: 'Countersign Upto Settler',
    version: '1',
    chainId,
    verifyingContract: settler,
  })
  return ({ payer, token, payee, nonce, amountAtomic }) =>
    hashTypedData(separator, hashStruct(chargeHash, [payer, token, payee, nonce, amountAtomic]))
}
