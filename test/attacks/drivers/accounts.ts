/** Accounts of a test chain that can pay by every scheme. */
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { createWalletClient, http, type Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import {
  payerBalanceAtomic,
  type TestChain,
} from '../../../packages/gateway/test/payment/chain-process.ts'
import { createApprovedPayer } from '../../../packages/gateway/test/payment/approved-payer.ts'

/** A key with so much of the asset, ether, and an approval of Permit2. */
export async function createFundedKey(chain: TestChain, balanceAtomic?: bigint): Promise<Hex> {
  const key = await createApprovedPayer(chain)
  if (balanceAtomic !== undefined) {
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
}

/** Sends a transaction of this key and waits until it is in a block; throws when it was refused. */
export async function sendFrom(rpcUrl: string, key: Hex, call: ContractCall): Promise<Hex> {
  const wallet = createWalletClient({
    account: privateKeyToAccount(key),
    chain: baseSepolia,
    transport: http(rpcUrl),
  })
  const hash = await wallet.writeContract({ ...call, abi: [...call.abi] })
  for (let look = 0; look < 2000; look++) {
    const receipt: unknown = await wallet.request<{
      Method: 'eth_getTransactionReceipt'
      Parameters: [Hex]
      ReturnType: unknown
    }>({ method: 'eth_getTransactionReceipt', params: [hash] })
    if (receipt !== null && receipt !== undefined) {
      if (Object(receipt).status !== '0x1') throw new Error(`${call.functionName} was refused`)
      return hash
    }
  }
  throw new Error(`${call.functionName} was not mined`)
}
