/** A payer that lets Permit2 move its money. */
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { createWalletClient, http, toFunctionSelector, type Account, type Hex } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import type { TestChain } from './chain-process.ts'
import { nextPayerKey } from './channel-fixture.ts'

const usdc = { address: baseSepoliaUsdc.address, abi: testUsdcAbi } as const

/** Gives it ether, too: it can send transactions. */
export async function createApprovedPayer(chain: TestChain): Promise<Hex> {
  const key = nextPayerKey(chain)
  await giveEther(chain, privateKeyToAddress(key))
  const hash = await walletOf(chain, privateKeyToAccount(key)).writeContract({
    address: baseSepoliaUsdc.address,
    abi: testUsdcAbi,
    functionName: 'approve',
    args: [baseSepoliaX402.permit2, 1n << 255n],
  })
  await chain.mined(hash)
  return key
}

/** Ether for transactions of its own. */
export async function giveEther(chain: TestChain, address: Hex): Promise<void> {
  const giver = walletOf(chain, privateKeyToAccount(chain.nextSettlementKey()))
  await chain.mined(await giver.sendTransaction({ to: address, value: 10n ** 16n }))
}

/** Sends transactions of this account. */
export function walletOf<T extends Account>(chain: TestChain, account: T) {
  return createWalletClient({
    account,
    chain: baseSepolia,
    transport: http(chain.rpcUrl, { timeout: 60_000 }),
  })
}

/** A contract that answers everything with this error. */
export async function deployReverting(chain: TestChain, error: string): Promise<Hex> {
  const wallet = walletOf(chain, privateKeyToAccount(chain.nextSettlementKey()))
  const code = `63${toFunctionSelector(error).slice(2)}60e01b60005260046000fd`
  const hash = await wallet.sendTransaction({ data: `0x6f${code}60005260106010f3` })
  const { contractAddress } = await chain.mined(hash)
  if (typeof contractAddress !== 'string') throw new Error('no code was made')
  return contractAddress
}

/** Test USDC of an account. */
export async function balanceOf({ client }: TestChain, owner: Hex): Promise<bigint> {
  return client.readContract({ ...usdc, functionName: 'balanceOf', args: [owner] })
}

/** What Permit2 can take of it. */
export async function readFunds(chain: TestChain, payer: Hex): Promise<bigint> {
  const balance = await balanceOf(chain, payer)
  const args = [payer, baseSepoliaX402.permit2] as const
  const allowance = await chain.client.readContract({ ...usdc, functionName: 'allowance', args })
  return balance < allowance ? balance : allowance
}
