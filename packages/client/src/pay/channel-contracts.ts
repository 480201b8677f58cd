/** The contracts behind channels on one chain, and what they say of a channel. */
import { x402On } from '@countersign/contracts/addresses'
import { createBatchDomain, type BatchDomain } from '@countersign/protocol/payment/channel'
import { parseAddress, type Hex } from '@countersign/protocol/payment/evm-word'
import { createDepositNonce } from '@countersign/protocol/payment/token-authorization'
import { checkChain, type ChainReader } from '../chain/chain-reader.ts'
import { readWord, readWords } from '../chain/contract-call.ts'
import { ClientError } from '../errors.ts'
import { readChainId } from './sign-typed-data.ts'

/** Where channels are on a chain. */
export type ChannelContracts = {
  readonly chainId: number
  readonly batch: Hex
  readonly erc3009Collector: Hex
  readonly domain: BatchDomain
}

/** A channel as the chain has it. */
export type ChannelOnChain = {
  readonly balanceAtomic: bigint
  readonly claimedAtomic: bigint
  readonly withdrawingAtomic: bigint
  readonly withdrawRequestedAtSeconds: bigint
}

/** The contracts that are known on this network. @throws ClientError `network-not-allowed`. */
export function channelContractsOn(network: string): ChannelContracts {
  const chainId = readChainId(network)
  const x402 = x402On(chainId)
  const batch = parseAddress(x402?.batchSettlement)
  const erc3009Collector = parseAddress(x402?.erc3009DepositCollector)
  if (batch === undefined || erc3009Collector === undefined) {
    throw new ClientError('network-not-allowed', { detail: `no contracts known on ${network}` })
  }
  return { chainId, batch, erc3009Collector, domain: createBatchDomain(BigInt(chainId), batch) }
}

/** Reads a channel in the latest block. @throws ClientError `chain-mismatch`, `chain-unreachable`. */
export async function readChannelOnChain(
  reader: ChainReader,
  { chainId, batch }: ChannelContracts,
  channelId: Hex,
): Promise<ChannelOnChain> {
  await checkChain(reader, BigInt(chainId))
  const [channel, withdrawal] = await Promise.all([
    readWords(reader, batch, 'channels(bytes32)', [channelId], 2),
    readWords(reader, batch, 'pendingWithdrawals(bytes32)', [channelId], 2),
  ])
  const [balanceAtomic = 0n, claimedAtomic = 0n] = channel
  const [withdrawingAtomic = 0n, withdrawRequestedAtSeconds = 0n] = withdrawal
  return { balanceAtomic, claimedAtomic, withdrawingAtomic, withdrawRequestedAtSeconds }
}

/** Whether the authorization of a deposit was used up: then it is in the channel, or was cancelled by its payer. */
export async function isDepositUsed(
  reader: ChainReader,
  token: Hex,
  payer: Hex,
  deposit: { readonly channelId: Hex; readonly salt: Hex },
): Promise<boolean> {
  const nonce = createDepositNonce(deposit.channelId, deposit.salt)
  return (
    (await readWord(reader, token, 'authorizationState(address,bytes32)', [payer, nonce])) === 1n
  )
}
