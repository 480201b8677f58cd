/** What became of a Permit2 nonce: settled by whoever sent it, or used up by its payer for something else. */
import { uptoSettlerAbi } from '@countersign/contracts/upto-settler'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { getAbiItem, type PublicClient } from 'viem'
import { isPermit2NonceUsed } from '../channel/batch-contract.ts'

/** `otherwise`: cancelled, signed for another transfer, or settled longer ago than is looked back. */
export type UptoUse =
  | { readonly kind: 'settled'; readonly transaction: Hex; readonly amountAtomic: bigint }
  | { readonly kind: 'unused' | 'otherwise' }

/** Asks for one payment. Rejects when the chain does not answer. */
export type FindUptoUse = (payer: Hex, nonce: bigint) => Promise<UptoUse>

/** What public nodes answer at once, and how often we ask: 100,000 blocks are more than two days. */
const blocksPerRead = 5000n
const maxReads = 20

/**
 * Looks for the event of our settler, which names payer and nonce. Its charge carries our signature, and Permit2 takes
 * each nonce once, so there is at most one.
 *
 * @example `const findUse = createUptoUseFinder(client, { permit2, settler })`
 */
export function createUptoUseFinder(
  client: PublicClient,
  { permit2, settler }: { readonly permit2: Hex; readonly settler: Hex },
): FindUptoUse {
  const event = getAbiItem({ abi: uptoSettlerAbi, name: 'ChargeSettled' })
  return async (payer, nonce) => {
    if (!(await isPermit2NonceUsed(client, permit2, payer, nonce))) return { kind: 'unused' }
    let toBlock = await client.getBlockNumber({ cacheTime: 0 })
    for (let read = 0; read < maxReads; read++) {
      const fromBlock = toBlock >= blocksPerRead ? toBlock - blocksPerRead + 1n : 0n
      const range = { fromBlock, toBlock }
      const [log] = await client.getLogs({
        address: settler,
        event,
        args: { payer, nonce },
        strict: true,
        ...range,
      })
      if (log !== undefined) {
        const { transactionHash: transaction, args } = log
        return { kind: 'settled', transaction, amountAtomic: args.amount }
      }
      if (fromBlock === 0n) break
      toBlock = fromBlock - 1n
    }
    return { kind: 'otherwise' }
  }
}
