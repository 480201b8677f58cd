/** Accounts of a test chain that can pay by every scheme. */
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { moodyUsdcAbi, moodyUsdcCreationCode } from '@countersign/contracts/moody-usdc'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { createWalletClient, http, publicActions, type Hex } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import {
  payerBalanceAtomic,
  type TestChain,
} from '../../../packages/gateway/test/payment/chain-process.ts'
import { nextPayerKey } from '../../../packages/gateway/test/payment/channel-fixture.ts'
import { until } from '../waiting.ts'

/** A token that becomes what real ones can become. */
export type MoodyToken = {
  readonly address: Hex
  /** Kept of each transfer, in hundredths of a percent. */
  setFee(basisPoints: bigint): Promise<void>
  setPaused(state: boolean): Promise<void>
  setBlocked(account: Hex, state: boolean): Promise<void>
  balanceOf(account: Hex): Promise<bigint>
}

/** Deploys such a token. */
export async function deployMoodyToken(chain: TestChain): Promise<MoodyToken> {
  const key = chain.nextSettlementKey()
  const wallet = walletOf(chain.rpcUrl, key)
  const hash = await wallet.deployContract({
    abi: moodyUsdcAbi,
    bytecode: moodyUsdcCreationCode,
    gas: 4_000_000n,
  })
  const { contractAddress: address } = await chain.mined(hash)
  if (address === null || address === undefined) throw new Error('the token was not deployed')
  const set = (functionName: string, ...args: readonly unknown[]): Promise<void> =>
    sendFrom(chain.rpcUrl, key, { address, abi: moodyUsdcAbi, functionName, args })
  return {
    address,
    setFee: (basisPoints) => set('setFee', basisPoints),
    setPaused: (state) => set('setPaused', state),
    setBlocked: (account, state) => set('setBlocked', account, state),
    balanceOf: (account) =>
      chain.client.readContract({
        address,
        abi: moodyUsdcAbi,
        functionName: 'balanceOf',
        args: [account],
      }),
  }
}

/** A key with so much of the asset, ether, and an approval of Permit2. */
export async function createFundedKey(
  chain: TestChain,
  balanceAtomic?: bigint,
  token?: MoodyToken,
): Promise<Hex> {
  const key = nextPayerKey(chain)
  const giver = walletOf(chain.rpcUrl, chain.nextSettlementKey())
  const gift = { to: privateKeyToAddress(key), value: 10n ** 16n }
  await untilMined(giver, await giver.sendTransaction(gift))
  const { address } = token ?? baseSepoliaUsdc
  await sendFrom(chain.rpcUrl, key, {
    address,
    abi: testUsdcAbi,
    functionName: 'approve',
    args: [baseSepoliaX402.permit2, 1n << 255n],
  })
  if (token !== undefined) {
    const args = [privateKeyToAddress(key), balanceAtomic ?? payerBalanceAtomic]
    await sendFrom(chain.rpcUrl, key, { address, abi: testUsdcAbi, functionName: 'mint', args })
  } else if (balanceAtomic !== undefined) {
    await moveAway(chain.rpcUrl, baseSepoliaUsdc.address, key, payerBalanceAtomic - balanceAtomic)
  }
  return key
}

/** Sends so much of the asset of this key to nobody. */
export async function moveAway(
  rpcUrl: string,
  asset: Hex,
  key: Hex,
  amountAtomic: bigint,
): Promise<void> {
  await sendFrom(rpcUrl, key, {
    address: asset,
    abi: testUsdcAbi,
    functionName: 'transfer',
    args: ['0x000000000000000000000000000000000000dEaD', amountAtomic],
  })
}

type ContractCall = {
  readonly address: Hex
  readonly abi: readonly unknown[]
  readonly functionName: string
  readonly args: readonly unknown[]
  /** Instead of an estimate, which knows no later time than that of the latest block. */
  readonly gas?: bigint
}

/** Sends a transaction of this key and waits until it is in a block; throws when it was refused. */
export async function sendFrom(rpcUrl: string, key: Hex, call: ContractCall): Promise<void> {
  const wallet = walletOf(rpcUrl, key)
  await untilMined(wallet, await wallet.writeContract({ ...call, abi: [...call.abi] }))
}

function walletOf(rpcUrl: string, key: Hex) {
  const account = privateKeyToAccount(key)
  const transport = http(rpcUrl)
  return createWalletClient({ account, chain: baseSepolia, transport }).extend(publicActions)
}

// viem's own waiting looks again only when a new block comes.
async function untilMined(wallet: ReturnType<typeof walletOf>, hash: Hex): Promise<void> {
  let status = ''
  const isMined = await until(async () => {
    const receipt = await wallet.getTransactionReceipt({ hash }).catch(() => undefined)
    status = receipt?.status ?? ''
    return receipt !== undefined
  })
  if (!isMined || status !== 'success') throw new Error(`a transaction failed: ${hash} ${status}`)
}
