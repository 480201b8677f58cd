/** Events of channels and payments for tests. */
import type { ChannelConfig } from '@countersign/protocol/payment/channel'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import type { CallReserved, ChainView } from '../../src/payment/ledger/channel-event.ts'
import type { UptoPermit } from '../../src/payment/ledger/upto-account.ts'

/** An address of this number. */
export function addressOf(number: number): Hex {
  return `0x${number.toString(16).padStart(40, '0')}`
}

/** A word of this number. */
export function wordOf(number: number): Hex {
  return `0x${number.toString(16).padStart(64, '0')}`
}

/** A call id of this number. */
export function callOf(number: number): string {
  return number.toString(16).padStart(32, '0')
}

const anySignature: Hex = `0x${'5a'.repeat(65)}`

export const sampleConfig: ChannelConfig = {
  payer: addressOf(1),
  payerAuthorizer: addressOf(1),
  receiver: addressOf(2),
  receiverAuthorizer: addressOf(3),
  token: addressOf(4),
  withdrawDelaySeconds: 3600n,
  salt: wordOf(0),
}

/** What the chain says of a channel with this deposit, unless told otherwise. */
export function viewOf(depositedAtomic: bigint, changes: Partial<ChainView> = {}): ChainView {
  return {
    depositedAtomic,
    claimedAtomic: 0n,
    withdrawingAtomic: 0n,
    withdrawRequestedAtSeconds: 0n,
    refundNonce: 0n,
    blockNumber: 1n,
    finalBlockNumber: changes.blockNumber ?? 1n,
    ...changes,
  }
}

/** A reservation of `amountAtomic` under a voucher over `ceilingAtomic`. */
export function reservationOf(
  channelId: Hex,
  call: number,
  amountAtomic: bigint,
  ceilingAtomic: bigint,
  changes: Partial<CallReserved> = {},
): CallReserved {
  return {
    type: 'call-reserved',
    channelId,
    callId: callOf(call),
    requestHash: wordOf(call),
    amountAtomic,
    ceilingAtomic,
    signature: anySignature,
    mode: 'strict',
    maxRunningCalls: 64,
    ...changes,
  }
}

/** A permit for `upto`. */
export function permitOf(nonce: bigint, amountAtomic: bigint): UptoPermit {
  return {
    token: addressOf(4),
    amountAtomic,
    spender: addressOf(5),
    nonce,
    deadlineSeconds: 2_000_000_000n,
    to: addressOf(2),
    facilitator: addressOf(6),
    validAfterSeconds: 0n,
    signature: anySignature,
  }
}
