/** Calls of the batch contract that a payer sends itself. */
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { ChannelConfig } from '@countersign/protocol/payment/channel'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { encodeAbiParameters, encodeFunctionData, parseAbiParameters } from 'viem'
import type { PrivateKeyAccount } from 'viem/accounts'
import { ClientError } from '../errors.ts'
import type { ChannelContracts } from '../pay/channel-contracts.ts'
import type { ChannelRecord } from '../pay/channel-record.ts'
import { signDeposit } from '../pay/channel-voucher.ts'
import { baseSepoliaUsdc, baseUsdc } from '../pay/spending-limits.ts'

const lifetimeSeconds = 600n

/** A deposit that the payer signs and sends. @throws ClientError `asset-not-allowed` for a token that is not known. */
export async function encodeDeposit(
  account: PrivateKeyAccount,
  contracts: ChannelContracts,
  { network, channelId, config }: ChannelRecord,
  amountAtomic: bigint,
  nowSeconds: bigint,
): Promise<Hex> {
  const token = [baseSepoliaUsdc, baseUsdc].find(
    (known) => known.network === network && known.address.toLowerCase() === config.token,
  )
  if (token === undefined) throw new ClientError('asset-not-allowed', { detail: config.token })
  const salt: Hex = `0x${toHex(crypto.getRandomValues(new Uint8Array(32)))}`
  const validBeforeSeconds = nowSeconds + lifetimeSeconds
  const deposit = { amountAtomic, salt, validBeforeSeconds, token }
  const signature = await signDeposit(account, contracts, channelId, config, deposit)
  const collectorData = encodeAbiParameters(
    parseAbiParameters('uint256, uint256, uint256, bytes'),
    [0n, validBeforeSeconds, BigInt(salt), `0x${signature.slice(2)}`],
  )
  return encodeFunctionData({
    abi: batchSettlementAbi,
    functionName: 'deposit',
    args: [tupleOf(config), amountAtomic, contracts.erc3009Collector, collectorData],
  })
}

/** Asks money back; the delay of the channel begins. */
export function encodeInitiateWithdraw(config: ChannelConfig, amountAtomic: bigint): Hex {
  return encodeFunctionData({
    abi: batchSettlementAbi,
    functionName: 'initiateWithdraw',
    args: [tupleOf(config), amountAtomic],
  })
}

/** Takes back what was asked for and not claimed, after the delay. */
export function encodeFinalizeWithdraw(config: ChannelConfig): Hex {
  return encodeFunctionData({
    abi: batchSettlementAbi,
    functionName: 'finalizeWithdraw',
    args: [tupleOf(config)],
  })
}

function tupleOf({ withdrawDelaySeconds, ...members }: ChannelConfig): Omit<
  ChannelConfig,
  'withdrawDelaySeconds'
> & {
  readonly withdrawDelay: number
} {
  return { ...members, withdrawDelay: Number(withdrawDelaySeconds) }
}
