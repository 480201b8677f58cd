/** The signature rule of an EIP-3009 authorization, as strict as the token's (spec/payment.md PA7.6). */
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import {
  createDomainSeparator,
  hashStruct,
  hashText,
  hashTypedData,
} from '@countersign/protocol/payment/eip712'
import { parseEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import type { EvmCurve } from '../evm-curve.ts'
import type { Terms } from './offer.ts'
import type { Authorization } from './presented-payment.ts'

/** True when `from` signed this authorization, with 65 bytes, v 27 or 28 and a low s. */
export type AuthorizationCheck = (authorization: Authorization, signature: Hex) => boolean

const transferHash = hashText(
  'TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)',
)

/** The check for one token. */
export function createAuthorizationCheck(
  terms: Pick<Terms, 'asset' | 'assetName' | 'assetVersion' | 'chainId'>,
  curve: Pick<EvmCurve, 'recoverAddress'>,
): AuthorizationCheck {
  const separator = createDomainSeparator({
    name: terms.assetName,
    version: terms.assetVersion,
    chainId: BigInt(terms.chainId),
    verifyingContract: toLower(terms.asset),
  })
  return (authorization, signature) => {
    const { from, to, valueAtomic, validAfterSeconds, validBeforeSeconds, nonce } = authorization
    const signer = toLower(from)
    const words = [signer, toLower(to), valueAtomic, validAfterSeconds, validBeforeSeconds, nonce]
    const digest = hashTypedData(separator, hashStruct(transferHash, words))
    const address = recover(curve, digest, signature)
    return address !== undefined && `0x${toHex(address)}` === signer
  }
}

function recover(
  curve: Pick<EvmCurve, 'recoverAddress'>,
  digest: Uint8Array,
  signature: Hex,
): Uint8Array | undefined {
  try {
    return curve.recoverAddress(digest, parseEvmSignature(signature))
  } catch (error) {
    // Its form is not the one that the token takes.
    if (error instanceof PaymentError) return undefined
    throw error
  }
}

function toLower(address: string): Hex {
  const parsed = parseAddress(address)
  if (parsed === undefined) throw new RangeError('not an address')
  return parsed
}
