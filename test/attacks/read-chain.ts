/** What the chain says of a channel. */
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { createPublicClient, http, type Hex } from 'viem'
import { contracts } from './payers/sign-typed.ts'

/** Deposited and not given back, and claimed in all. */
export async function readChannel(
  rpcUrl: string,
  channelId: Hex,
): Promise<{ readonly balance: bigint; readonly claimed: bigint }> {
  const client = createPublicClient({ transport: http(rpcUrl) })
  const [balance, claimed] = await client.readContract({
    address: contracts.batch,
    abi: batchSettlementAbi,
    functionName: 'channels',
    args: [channelId],
  })
  return { balance, claimed }
}
