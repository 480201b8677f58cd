/** Somebody who has seen a payment and sends it to the chain. */
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { testUsdcAbi } from '@countersign/contracts/test-usdc'
import { createWalletClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import type { TestChain } from './chain-process.ts'

/** Anybody can send an authorization that he has seen. Resolves when it is on chain. */
export async function sendAsObserver(
  chain: TestChain,
  payment: { readonly payload: Readonly<Record<string, unknown>> },
): Promise<string> {
  const { signature, authorization } = payment.payload
  const member = (name: string): string => String(Object(authorization)[name])
  const observer = createWalletClient({
    account: privateKeyToAccount(chain.nextSettlementKey()),
    transport: http(chain.rpcUrl, { timeout: 60_000 }),
  })
  const transaction = await observer.writeContract({
    chain: null,
    address: baseSepoliaUsdc.address,
    abi: testUsdcAbi,
    functionName: 'transferWithAuthorization',
    args: [
      hex(member('from')),
      hex(member('to')),
      BigInt(member('value')),
      BigInt(member('validAfter')),
      BigInt(member('validBefore')),
      hex(member('nonce')),
      hex(String(signature)),
    ],
  })
  await chain.mined(transaction)
  return transaction
}

function hex(text: string): `0x${string}` {
  return `0x${text.slice(2)}`
}
