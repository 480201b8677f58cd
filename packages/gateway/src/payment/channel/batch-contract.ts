/** What we read of the batch contract, and the transactions that we send to it. */
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { permit2Abi } from '@countersign/contracts/permit2'
import { eip3009ABI } from '@x402/evm'
import type { ChannelConfig } from '@countersign/protocol/payment/channel'
import type { Deposit } from '@countersign/protocol/payment/channel-deposit'
import { encodeEvmSignature, type EvmSignature } from '@countersign/protocol/payment/evm-signature'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import {
  encodeAbiParameters,
  encodeFunctionData,
  parseAbiParameters,
  parseEventLogs,
  type PublicClient,
} from 'viem'

/** A channel as it stands in one block, deposits of all depths included. */
export type ChannelSlot = {
  readonly balanceAtomic: bigint
  readonly claimedAtomic: bigint
  readonly withdrawingAtomic: bigint
  readonly withdrawRequestedAtSeconds: bigint
  readonly refundNonce: bigint
}

/** One row of a claim: everything up to `totalAtomic` was charged, under this voucher. */
export type ClaimRow = {
  readonly channelId: Hex
  readonly config: ChannelConfig
  readonly ceilingAtomic: bigint
  readonly signature: Hex
  readonly totalAtomic: bigint
}

/** What the logs of one block say about channels. */
export type BlockLogs = {
  readonly touched: ReadonlySet<Hex>
  readonly deposits: readonly { readonly channelId: Hex; readonly amountAtomic: bigint }[]
}

/** A refund, which claims what is charged before it gives back the rest. */
export type RefundRequest = {
  readonly config: ChannelConfig
  readonly amountAtomic: bigint
  readonly nonce: bigint
  readonly signature: EvmSignature
}

/** Reads one channel in one block, by its number or hash, the newest where none is named. @throws what the node answers, for example when it forgot that block. */
export async function readSlot(
  client: PublicClient,
  address: Hex,
  channelId: Hex,
  block?: bigint | Hex,
): Promise<ChannelSlot> {
  const at =
    block === undefined
      ? {}
      : typeof block === 'bigint'
        ? { blockNumber: block }
        : { blockHash: block }
  const read = { address, abi: batchSettlementAbi, args: [channelId], ...at } as const
  const [channel, withdrawal, refundNonce] = await Promise.all([
    client.readContract({ ...read, functionName: 'channels' }),
    client.readContract({ ...read, functionName: 'pendingWithdrawals' }),
    client.readContract({ ...read, functionName: 'refundNonce' }),
  ])
  return {
    balanceAtomic: channel[0],
    claimedAtomic: channel[1],
    withdrawingAtomic: withdrawal[0],
    withdrawRequestedAtSeconds: BigInt(withdrawal[1]),
    refundNonce,
  }
}

/** The logs of exactly this block: a block of another fork has another hash. */
export async function readBlockLogs(
  client: PublicClient,
  address: Hex,
  blockHash: Hex,
): Promise<BlockLogs> {
  const logs = await client.getLogs({ address, blockHash })
  const touched = new Set<Hex>()
  const deposits: BlockLogs['deposits'][number][] = []
  for (const log of parseEventLogs({ abi: batchSettlementAbi, logs })) {
    if (!('channelId' in log.args)) continue
    const channelId: Hex = `0x${log.args.channelId.slice(2).toLowerCase()}`
    touched.add(channelId)
    if (log.eventName === 'Deposited') deposits.push({ channelId, amountAtomic: log.args.amount })
  }
  return { touched, deposits }
}

/** Whether the token or Permit2 took this authorization already, or its payer cancelled it. */
export async function isDepositUsed(
  client: PublicClient,
  contracts: { readonly token: Hex; readonly permit2: Hex },
  payer: Hex,
  { authorization }: Deposit,
): Promise<boolean> {
  if (authorization.kind === 'erc3009') {
    return client.readContract({
      address: contracts.token,
      abi: eip3009ABI,
      functionName: 'authorizationState',
      args: [payer, authorization.transfer.nonce],
    })
  }
  return isPermit2NonceUsed(client, contracts.permit2, payer, authorization.permit.nonce)
}

/** Permit2 keeps a bit for each nonce. */
export async function isPermit2NonceUsed(
  client: PublicClient,
  permit2: Hex,
  owner: Hex,
  nonce: bigint,
  blockNumber?: bigint,
): Promise<boolean> {
  const bitmap = await client.readContract({
    address: permit2,
    abi: permit2Abi,
    functionName: 'nonceBitmap',
    args: [owner, nonce >> 8n],
    ...(blockNumber === undefined ? {} : { blockNumber }),
  })
  return ((bitmap >> (nonce & 255n)) & 1n) === 1n
}

/** `claimWithSignature`: anybody may send it, the signature is the receiver authorizer's. */
export function encodeClaim(rows: readonly ClaimRow[], authorization: EvmSignature): Hex {
  return encodeFunctionData({
    abi: batchSettlementAbi,
    functionName: 'claimWithSignature',
    args: [rows.map(toClaim), encodeEvmSignature(authorization)],
  })
}

/** `deposit`, with what its collector needs. */
export function encodeDeposit(config: ChannelConfig, deposit: Deposit, collector: Hex): Hex {
  const { authorization, amountAtomic } = deposit
  const signature = encodeEvmSignature(deposit.signature)
  const data =
    authorization.kind === 'erc3009'
      ? encodeAbiParameters(parseAbiParameters('uint256, uint256, uint256, bytes'), [
          authorization.transfer.validAfterSeconds,
          authorization.transfer.validBeforeSeconds,
          BigInt(authorization.salt),
          signature,
        ])
      : encodeAbiParameters(parseAbiParameters('uint256, uint256, bytes, bytes'), [
          authorization.permit.nonce,
          authorization.permit.deadlineSeconds,
          signature,
          '0x',
        ])
  return encodeFunctionData({
    abi: batchSettlementAbi,
    functionName: 'deposit',
    args: [toConfig(config), amountAtomic, collector, data],
  })
}

/** Both calls in one transaction, or the refund alone when nothing is left to claim. */
export function encodeRefund(
  claim: { readonly row: ClaimRow; readonly authorization: EvmSignature } | undefined,
  { config, amountAtomic, nonce, signature }: RefundRequest,
): Hex {
  const refund = encodeFunctionData({
    abi: batchSettlementAbi,
    functionName: 'refundWithSignature',
    args: [toConfig(config), amountAtomic, nonce, encodeEvmSignature(signature)],
  })
  if (claim === undefined) return refund
  return encodeFunctionData({
    abi: batchSettlementAbi,
    functionName: 'multicall',
    args: [[encodeClaim([claim.row], claim.authorization), refund]],
  })
}

/** `settle`: pays the receiver what was claimed for it. */
export function encodeSettle(receiver: Hex, token: Hex): Hex {
  return encodeFunctionData({
    abi: batchSettlementAbi,
    functionName: 'settle',
    args: [receiver, token],
  })
}

function toClaim({ config, ceilingAtomic, signature, totalAtomic }: ClaimRow): {
  readonly voucher: {
    readonly channel: ReturnType<typeof toConfig>
    readonly maxClaimableAmount: bigint
  }
  readonly signature: Hex
  readonly totalClaimed: bigint
} {
  return {
    voucher: { channel: toConfig(config), maxClaimableAmount: ceilingAtomic },
    signature,
    totalClaimed: totalAtomic,
  }
}

function toConfig(config: ChannelConfig): Omit<ChannelConfig, 'withdrawDelaySeconds'> & {
  readonly withdrawDelay: number
} {
  const { withdrawDelaySeconds, ...rest } = config
  // Below 2^40: the parser has seen to it.
  return { ...rest, withdrawDelay: toSafeNumber(withdrawDelaySeconds) }
}

function toSafeNumber(value: bigint): number {
  if (value < 0n || value >= 1n << 40n) throw new RangeError('not a delay')
  return +`${value}`
}
