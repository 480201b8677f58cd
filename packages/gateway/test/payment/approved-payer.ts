/** A payer that lets Permit2 move its money. */
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { createWalletClient, http, type Account, type Hex } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import type { TestChain } from './chain-process.ts'
import { nextPayerKey } from './channel-fixture.ts'

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
  return createWalletClient({ account, chain: baseSepolia, transport: http(chain.rpcUrl) })
}
