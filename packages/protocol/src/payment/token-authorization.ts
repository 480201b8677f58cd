/** What a payer signs for an EIP-3009 token when it deposits into a channel (spec/payment.md PA16, PA19). */
import { concatBytes } from '../bytes/byte-string.ts'
import { toHex } from '../bytes/text-encoding.ts'
import { keccak256 } from '../crypto/keccak256.ts'
import { createDomainSeparator, hashStruct, hashText, hashTypedData } from './eip712.ts'
import { encodeWord, type Hex } from './evm-word.ts'

/** The right of `to` to take tokens from `from`. Times are seconds. */
export type TokenAuthorization = {
  readonly from: Hex
  readonly to: Hex
  readonly valueAtomic: bigint
  readonly validAfterSeconds: bigint
  readonly validBeforeSeconds: bigint
  readonly nonce: Hex
}

/** A token whose EIP-712 domain has a name and a version. */
export type TokenDomain = {
  readonly name: string
  readonly version: string
  readonly chainId: bigint
  readonly verifyingContract: Hex
}

const receiveHash = hashText(
  'ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)',
)

/** The digest of `ReceiveWithAuthorization` for this token. */
export function createReceiveHasher(
  domain: TokenDomain,
): (authorization: TokenAuthorization) => Uint8Array {
  const separator = createDomainSeparator(domain)
  return (authorization) =>
    hashTypedData(
      separator,
      hashStruct(receiveHash, [
        authorization.from,
        authorization.to,
        authorization.valueAtomic,
        authorization.validAfterSeconds,
        authorization.validBeforeSeconds,
        authorization.nonce,
      ]),
    )
}

/** The nonce binds the deposit to its channel: nobody can turn it into another (PA16.3). */
export function createDepositNonce(channelId: Hex, salt: Hex): Hex {
  return `0x${toHex(keccak256(concatBytes(encodeWord(channelId), encodeWord(salt))))}`
}
