/** Whether the chain takes signatures of our key, and why it refuses a call (spec/payment.md PA21.3). */
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { channelAuthorizerAbi } from '@countersign/contracts/channel-authorizer'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { encodeEvmSignature, type EvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import {
  BaseError,
  ContractFunctionRevertedError,
  decodeErrorResult,
  encodeFunctionData,
  ExecutionRevertedError,
  isHex,
  toFunctionSelector,
  type PublicClient,
} from 'viem'
import type { EvmCurve } from '../evm-curve.ts'

/** The registry does not trust our key, or no longer: nothing is wrong with any channel. Alarm the operator. */
export class SettlementKeyUntrusted extends Error {
  constructor() {
    super('the receiver authorizer does not accept the settlement key: claims and refunds wait')
    this.name = 'SettlementKeyUntrusted'
  }
}

/** The contract refuses a refund although the voucher is good and our key is trusted: an alarm, and tried again. */
export class RefundRefused extends Error {
  constructor(channelId: Hex, options: { cause: unknown }) {
    super(`the contract refuses the refund of ${channelId}`, options)
    this.name = 'RefundRefused'
  }
}

/** Asks whether the authorizer accepts this signature now. Rejects when the chain does not answer. */
export type IsAuthorized = (digest: Uint8Array, signature: EvmSignature) => Promise<boolean>

/** True when it is the authorizer's own key, or the contract at its address says so by EIP-1271. */
export function createAuthorizerCheck(
  client: PublicClient,
  curve: EvmCurve,
  authorizer: Hex,
): IsAuthorized {
  return async (digest, signature) => {
    const signer = curve.recoverAddress(digest, signature)
    if (signer !== undefined && `0x${toHex(signer)}` === authorizer) return true
    const call = encodeFunctionData({
      abi: channelAuthorizerAbi,
      functionName: 'isValidSignature',
      args: [`0x${toHex(digest)}`, encodeEvmSignature(signature)],
    })
    try {
      const { data } = await client.call({ to: authorizer, data: call })
      return data === `0x1626ba7e${'0'.repeat(56)}`
    } catch (error) {
      if (isRevert(error)) return false
      throw error
    }
  }
}

/** Whether the registry does not trust our key, as we or the settler found. */
export function isKeyRefused(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isKeyRefused)
  return error instanceof SettlementKeyUntrusted || isUntrustedCharge(error)
}

/** Whether the settler of `upto` refused a charge for its key. */
export function isUntrustedCharge(error: unknown): boolean {
  if (!(error instanceof BaseError)) return false
  const found = error.walk(
    (inner) =>
      typeof inner === 'object' &&
      inner !== null &&
      'data' in inner &&
      inner.data === untrustedCharge,
  )
  return found !== null
}

const untrustedCharge = toFunctionSelector('UntrustedCharge()')

/** Whether the chain executed a call and it failed. */
export function isRevert(error: unknown): boolean {
  if (!(error instanceof BaseError)) return false
  const cause = error.walk(
    (inner) =>
      inner instanceof ContractFunctionRevertedError || inner instanceof ExecutionRevertedError,
  )
  return cause !== null
}

/** The error of the batch contract that a reverted call ended with, when it is one that we know. */
export function revertNameOf(error: unknown): string | undefined {
  const found = revertDataOf(error)
  if (found === undefined) return undefined
  try {
    return decodeErrorResult({ abi: batchSettlementAbi, data: found }).errorName
  } catch {
    // Another contract's error, or none.
    return undefined
  }
}

/** What a reverted call answered, where the node passed that on. */
export function revertDataOf(error: unknown): Hex | undefined {
  if (!(error instanceof BaseError)) return undefined
  let found: Hex | undefined
  error.walk((inner) => {
    if (typeof inner === 'object' && inner !== null && 'data' in inner && isHex(inner.data)) {
      found = inner.data
    }
    return false
  })
  return found
}
