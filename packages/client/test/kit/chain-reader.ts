/** What a payer reads of a chain that runs in the process of its test. */
import type { Hex } from 'viem'
import type { ChainReader } from '@countersign/client'
import type { OperatorChain } from '../../../contracts/test/operator-chain.ts'

/** The seam over the chain of this process. */
export function readerOf({ reader }: OperatorChain): ChainReader {
  return {
    chainId: async () => BigInt(await reader.getChainId()),
    call: async (to, data) => lower((await reader.call({ to, data })).data ?? '0x'),
    getCode: async (address) => lower((await reader.getCode({ address })) ?? '0x'),
    getLogs: async (address, topic, fromBlock) => {
      const logs = await reader.request({
        method: 'eth_getLogs',
        params: [{ address, topics: [topic], fromBlock: `0x${fromBlock.toString(16)}` }],
      })
      return logs.map(({ topics, data }) => ({ topics: topics.map(lower), data: lower(data) }))
    },
  }
}

/** Addresses as this package has them. */
export function lower(text: string): Hex {
  return `0x${text.slice(2).toLowerCase()}`
}
