/** What a payer signs for Permit2: an `upto` payment, or the deposit into a channel (spec/payment.md PA16, PA17, PA19). */
import { createDomainSeparator, hashStruct, hashText, hashTypedData } from './eip712.ts'
import type { Hex } from './evm-word.ts'

/** A permission to move tokens once. Times are seconds. */
export type Permit2Transfer = {
  readonly token: Hex
  readonly amountAtomic: bigint
  readonly spender: Hex
  readonly nonce: bigint
  readonly deadlineSeconds: bigint
}

/** The part of an `upto` payment that binds payee and settler. */
export type UptoWitness = {
  readonly to: Hex
  readonly facilitator: Hex
  readonly validAfterSeconds: bigint
}

/** Digests for Permit2 on one chain. */
export type Permit2Domain = {
  hashUpto(permit: Permit2Transfer, witness: UptoWitness): Uint8Array
  hashDeposit(permit: Permit2Transfer, channelId: Hex): Uint8Array
}

const tokenPermissions = 'TokenPermissions(address token,uint256 amount)'
const uptoWitness = 'Witness(address to,address facilitator,uint256 validAfter)'
const depositWitness = 'DepositWitness(bytes32 channelId)'
const transferOf = (witness: string): string =>
  `PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,${witness} witness)`

// Referenced types stand in alphabetical order.
const uptoHash = hashText(`${transferOf('Witness')}${tokenPermissions}${uptoWitness}`)
const depositHash = hashText(`${transferOf('DepositWitness')}${depositWitness}${tokenPermissions}`)
const tokenPermissionsHash = hashText(tokenPermissions)
const uptoWitnessHash = hashText(uptoWitness)
const depositWitnessHash = hashText(depositWitness)

/** The digests of Permit2 at this address. */
export function createPermit2Domain(chainId: bigint, permit2: Hex): Permit2Domain {
  const separator = createDomainSeparator({ name: 'Permit2', chainId, verifyingContract: permit2 })
  const hash = (typeHash: Uint8Array, permit: Permit2Transfer, witness: Uint8Array): Uint8Array =>
    hashTypedData(
      separator,
      hashStruct(typeHash, [
        hashStruct(tokenPermissionsHash, [permit.token, permit.amountAtomic]),
        permit.spender,
        permit.nonce,
        permit.deadlineSeconds,
        witness,
      ]),
    )
  return {
    hashUpto: (permit, { to, facilitator, validAfterSeconds }) =>
      hash(uptoHash, permit, hashStruct(uptoWitnessHash, [to, facilitator, validAfterSeconds])),
    hashDeposit: (permit, channelId) =>
      hash(depositHash, permit, hashStruct(depositWitnessHash, [channelId])),
  }
}
