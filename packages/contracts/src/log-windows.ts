/** Events of many blocks, some thousands at a time: public nodes refuse long ranges. */
import type { PublicClient } from 'viem'

const blocksPerRead = 5000n

/** All that `read` finds from this block to the newest one, in their order. */
export async function inWindows<T>(
  client: Pick<PublicClient, 'getBlockNumber'>,
  firstBlock: bigint,
  read: (range: { readonly fromBlock: bigint; readonly toBlock: bigint }) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  const head = await client.getBlockNumber({ cacheTime: 0 })
  const found: T[] = []
  for (let fromBlock = firstBlock; fromBlock <= head; fromBlock += blocksPerRead) {
    const last = fromBlock + blocksPerRead - 1n
    found.push(...(await read({ fromBlock, toBlock: last < head ? last : head })))
  }
  return found
}
