/** What became of a Permit2 nonce: settled by whoever sent it, or used up by its payer for something else. */
import { uptoSettlerAbi } from '@countersign/contracts/upto-settler'
import type { Hex } from '@countersign/protocol/payment/evm-word'
import { getAbiItem, type PublicClient } from 'viem'
import { isPermit2NonceUsed } from '../channel/batch-contract.ts'
import { latestRanges } from '../log-ranges.ts'

/** `otherwise`: cancelled, signed for another transfer, or settled longer ago than is looked back; so it is as of this block. */
export type UptoUse =
  | { readonly kind: 'settled'; readonly transaction: Hex; readonly amountAtomic: bigint }
  | { readonly kind: 'unused' | 'otherwise'; readonly headNumber: bigint }

/** Asks for one payment. Rejects when the chain does not answer. */
export type FindUptoUse = (payer: Hex, nonce: bigint) => Promise<UptoUse>

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
    // Both as of one block: else a settlement between the two would be used, and without an event.
    const headNumber = await client.getBlockNumber({ cacheTime: 0 })
    const isUsed = await isPermit2NonceUsed(client, permit2, payer, nonce, headNumber)
    if (!isUsed) return { kind: 'unused', headNumber }
    for (const range of latestRanges(0n, headNumber)) {
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
    }
    return { kind: 'otherwise', headNumber }
  }
}
