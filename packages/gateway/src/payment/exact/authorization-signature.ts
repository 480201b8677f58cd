/** The signature rule of an EIP-3009 authorization, as strict as the token's (spec/payment.md PA7.6). */
import { authorizationTypes } from '@x402/evm'
import { isAddressEqual, recoverTypedDataAddress, type Hex } from 'viem'
import type { Terms } from './offer.ts'
import type { Authorization } from './presented-payment.ts'

/** Half the order of secp256k1: a larger s is the malleable twin of a smaller one. */
const maxS = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n

/** True when `from` signed this authorization, with 65 bytes, v 27 or 28 and a low s. */
export async function isSignedByPayer(
  terms: Terms,
  authorization: Authorization,
  signature: Hex,
): Promise<boolean> {
  const s = BigInt(`0x${signature.slice(66, 130)}`)
  const v = signature.slice(130)
  if (s > maxS || (v !== '1b' && v !== '1c')) return false
  try {
    const signer = await recoverTypedDataAddress({
      domain: {
        name: terms.assetName,
        version: terms.assetVersion,
        chainId: terms.chainId,
        verifyingContract: terms.asset,
      },
      types: authorizationTypes,
      primaryType: 'TransferWithAuthorization',
      message: {
        from: authorization.from,
        to: authorization.to,
        value: authorization.valueAtomic,
        validAfter: authorization.validAfterSeconds,
        validBefore: authorization.validBeforeSeconds,
        nonce: authorization.nonce,
      },
      signature,
    })
    return isAddressEqual(signer, authorization.from)
  } catch {
    // No point of the curve has this r.
    return false
  }
}
