/** EIP-712 digests from separators that are made once (spec/payment.md PA16). */
import { concatBytes, encodeUtf8 } from '../bytes/byte-string.ts'
import { keccak256 } from '../crypto/keccak256.ts'
import { encodeWord, type Hex } from './evm-word.ts'

/** What a signature is made for. Permit2 has no version. */
export type Eip712Domain = {
  readonly name: string
  readonly version?: string
  readonly chainId: bigint
  readonly verifyingContract: Hex
}

/** The keccak256 of a text: type hashes, and strings inside structs. */
export function hashText(text: string): Uint8Array {
  return keccak256(encodeUtf8(text))
}

/** 32 bytes; costs two hashes more than a digest, so keep it. */
export function createDomainSeparator(domain: Eip712Domain): Uint8Array {
  const { version } = domain
  const versionType = version === undefined ? '' : 'string version,'
  const type = `EIP712Domain(string name,${versionType}uint256 chainId,address verifyingContract)`
  return keccak256(
    concatBytes(
      hashText(type),
      hashText(domain.name),
      version === undefined ? new Uint8Array() : hashText(version),
      encodeWord(domain.chainId),
      encodeWord(domain.verifyingContract),
    ),
  )
}

/** The hash of a struct of words; a member that is a struct, an array or a string is given by its hash. */
export function hashStruct(
  typeHash: Uint8Array,
  members: readonly (bigint | Hex | Uint8Array)[],
): Uint8Array {
  const words = members.map((member) =>
    member instanceof Uint8Array ? member : encodeWord(member),
  )
  return keccak256(concatBytes(typeHash, ...words))
}

/** The 32 bytes that are signed. */
export function hashTypedData(separator: Uint8Array, structHash: Uint8Array): Uint8Array {
  return keccak256(concatBytes(prefix, separator, structHash))
}

const prefix = Uint8Array.of(0x19, 0x01)
