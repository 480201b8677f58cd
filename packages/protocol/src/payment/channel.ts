/** Channels of `batch-settlement`: their identity, and what is signed about them (spec/payment.md PA16, PA18). */
import { concatBytes } from '../bytes/byte-string.ts'
import { fromHex, toHex } from '../bytes/text-encoding.ts'
import { keccak256, type Keccak256 } from '../crypto/keccak256.ts'
import { createDomainSeparator, hashStruct, hashText, hashTypedData } from './eip712.ts'
import { encodeWord, writeUint, type Hex } from './evm-word.ts'

/** The terms that two parties fixed for ever; their digest is the channel id. Addresses are lower case. */
export type ChannelConfig = {
  readonly payer: Hex
  /** Signs the vouchers. The zero address stands for EIP-1271 on `payer`, which we refuse. */
  readonly payerAuthorizer: Hex
  readonly receiver: Hex
  readonly receiverAuthorizer: Hex
  readonly token: Hex
  readonly withdrawDelaySeconds: bigint
  readonly salt: Hex
}

/** One row of a claim: what the payer allowed, and what of it was charged. Atomic units, both cumulative. */
export type ClaimEntry = {
  readonly channelId: Hex
  readonly maxClaimableAtomic: bigint
  readonly totalClaimedAtomic: bigint
}

/** Digests for one batch contract on one chain. */
export type BatchDomain = {
  hashChannelId(config: ChannelConfig): Hex
  /** The hot one: two hashes over buffers that are made once. The result is a new array. */
  hashVoucher(channelId: Uint8Array, maxClaimableAtomic: bigint): Uint8Array
  /** Signed by the receiver authorizer for the contract, and by the payer to ask for exactly that (PA19.2). */
  hashRefund(channelId: Hex, nonce: bigint, amountAtomic: bigint): Uint8Array
  hashClaimBatch(entries: readonly ClaimEntry[]): Uint8Array
}

/** Amounts of a channel are uint128. */
export const channelAmountBits = 128n

const claimEntryType =
  'ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)'
const channelConfigHash = hashText(
  'ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)',
)
const voucherHash = hashText('Voucher(bytes32 channelId,uint128 maxClaimableAmount)')
const refundHash = hashText('Refund(bytes32 channelId,uint256 nonce,uint128 amount)')
const claimEntryHash = hashText(claimEntryType)
const claimBatchHash = hashText(`ClaimBatch(ClaimEntry[] claims)${claimEntryType}`)

/** The digests of the batch contract at this address; `hash` makes those of vouchers. */
export function createBatchDomain(
  chainId: bigint,
  batchContract: Hex,
  hash: Keccak256 = keccak256,
): BatchDomain {
  const separator = createDomainSeparator({
    name: 'x402 Batch Settlement',
    version: '1',
    chainId,
    verifyingContract: batchContract,
  })
  return {
    hashChannelId: (config) =>
      `0x${toHex(hashTypedData(separator, hashStruct(channelConfigHash, configWords(config))))}`,
    hashVoucher: createVoucherHasher(separator, hash),
    hashRefund: (channelId, nonce, amountAtomic) =>
      hashTypedData(separator, hashStruct(refundHash, [channelId, nonce, amountAtomic])),
    hashClaimBatch: (entries) => {
      const rows = entries.map(({ channelId, maxClaimableAtomic, totalClaimedAtomic }) =>
        hashStruct(claimEntryHash, [channelId, maxClaimableAtomic, totalClaimedAtomic]),
      )
      return hashTypedData(separator, hashStruct(claimBatchHash, [keccak256(concatBytes(...rows))]))
    },
  }
}

/** True when both are the same terms: cheaper than another channel id. */
export function equalChannelConfigs(a: ChannelConfig, b: ChannelConfig): boolean {
  return (
    a.payer === b.payer &&
    a.payerAuthorizer === b.payerAuthorizer &&
    a.receiver === b.receiver &&
    a.receiverAuthorizer === b.receiverAuthorizer &&
    a.token === b.token &&
    a.withdrawDelaySeconds === b.withdrawDelaySeconds &&
    a.salt === b.salt
  )
}

/** The 32 bytes of an id. @throws RangeError when it is none: the caller's own mistake. */
export function decodeChannelId(channelId: Hex): Uint8Array {
  const bytes = fromHex(channelId.slice(2))
  if (bytes?.length !== 32) throw new RangeError('not a channel id')
  return bytes
}

function configWords(config: ChannelConfig): readonly (bigint | Hex)[] {
  return [
    config.payer,
    config.payerAuthorizer,
    config.receiver,
    config.receiverAuthorizer,
    config.token,
    config.withdrawDelaySeconds,
    config.salt,
  ]
}

function createVoucherHasher(separator: Uint8Array, hash: Keccak256): BatchDomain['hashVoucher'] {
  // Owned by the returned function, which is synchronous and fills both anew at each call.
  const struct = concatBytes(voucherHash, encodeWord(0n), encodeWord(0n))
  const typed = concatBytes(Uint8Array.of(0x19, 0x01), separator, encodeWord(0n))
  const view = new DataView(struct.buffer)
  return (channelId, maxClaimableAtomic) => {
    if (channelId.length !== 32) throw new RangeError('not a channel id')
    struct.set(channelId, 32)
    writeUint(view, 64, maxClaimableAtomic)
    typed.set(hash(struct), 34)
    return hash(typed)
  }
}
