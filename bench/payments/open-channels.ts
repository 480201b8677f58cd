/** Channels of one payer, opened on chain before anything is measured. */
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import {
  parseChannelPayload,
  type ChannelTerms,
} from '@countersign/protocol/payment/channel-payload'
import { createWalletClient, encodeFunctionData, http, type Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import { encodeDeposit } from '../../packages/gateway/src/payment/channel/batch-contract.ts'
import { createChannelPayer, offerOf } from '../../packages/gateway/test/payment/channel-payer.ts'
import type { TestChain } from '../../packages/gateway/test/payment/chain-process.ts'
import type { JobChannel } from './payment-job.ts'

/** Who receives, as an offer says it. */
export type ChannelOffer = {
  readonly payTo: string
  readonly maxTimeoutSeconds: number
  readonly extra: Readonly<Record<string, unknown>>
}

/** A transaction may take 16.7 million gas; a deposit takes 119,000. */
const depositsAtOnce = 100
const batchGas = 16_000_000n

/** Opens so many channels, each with this deposit, and waits until they are in the chain. */
export async function openChannels(
  chain: TestChain,
  payerKey: Hex,
  offer: ChannelOffer,
  { count, depositAtomic }: { readonly count: number; readonly depositAtomic: bigint },
): Promise<readonly JobChannel[]> {
  const terms = toTerms(offer)
  const channels: JobChannel[] = []
  const deposits: Hex[] = []
  for (let index = 0; index < count; index++) {
    const payer = createChannelPayer(payerKey, terms, index)
    const presented = payer.deposit(offerOf(terms, 1n), 1n, depositAtomic)
    const { config, action } = parseChannelPayload(presented.payload, terms)
    if (action.kind !== 'deposit') throw new Error('a deposit was read as something else')
    deposits.push(encodeDeposit(config, action.deposit, baseSepoliaX402.erc3009DepositCollector))
    const { channelConfig } = payer.payloadOf('voucher', 1n)
    if (typeof channelConfig !== 'object' || channelConfig === null) throw new Error('no config')
    channels.push({
      channelId: payer.channelId,
      config: Object.fromEntries(Object.entries(channelConfig)),
      chargedAtomic: 0,
    })
  }
  await send(chain, deposits)
  return channels
}

async function send(chain: TestChain, deposits: readonly Hex[]): Promise<void> {
  const account = privateKeyToAccount(chain.nextSettlementKey())
  const wallet = createWalletClient({ account, chain: baseSepolia, transport: http(chain.rpcUrl) })
  const hashes: Hex[] = []
  for (let first = 0; first < deposits.length; first += depositsAtOnce) {
    const data = encodeFunctionData({
      abi: batchSettlementAbi,
      functionName: 'multicall',
      args: [deposits.slice(first, first + depositsAtOnce)],
    })
    const to = baseSepoliaX402.batchSettlement
    const nonce = hashes.length
    hashes.push(await wallet.sendTransaction({ to, data, nonce, gas: batchGas }))
  }
  for (const hash of hashes) {
    const { status } = await chain.mined(hash)
    if (status !== 'success') throw new Error('channels were not opened')
  }
}

function toTerms({ payTo, maxTimeoutSeconds, extra }: ChannelOffer): ChannelTerms {
  return {
    network: 'eip155:84532',
    chainId: 84_532n,
    asset: baseSepoliaUsdc.address,
    assetName: 'USDC',
    assetVersion: '2',
    payTo,
    maxTimeoutSeconds,
    receiverAuthorizer: String(extra['receiverAuthorizer']),
    withdrawDelaySeconds: Number(extra['withdrawDelay']),
    minDepositAtomic: 1n,
    maxRunningCalls: 1,
    erc3009Collector: baseSepoliaX402.erc3009DepositCollector,
    permit2Collector: baseSepoliaX402.permit2DepositCollector,
  }
}
