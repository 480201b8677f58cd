/** What a registry says of keys of one gateway. */
import { keyRegistryAbi } from '@countersign/contracts/key-registry'
import type { PublicClient } from 'viem'
import type { ReadKeyRecords } from './charge-keys.ts'

type Hex = `0x${string}`

/** Reads over a client; each call asks anew. */
export function createKeyRecordReader(
  client: Pick<PublicClient, 'readContract' | 'getBlock'>,
  { registry, gatewayId }: { readonly registry: Hex; readonly gatewayId: Hex },
): ReadKeyRecords {
  const contract = { address: registry, abi: keyRegistryAbi, functionName: 'keys' } as const
  return async (keys) => {
    const [block, ...records] = await Promise.all([
      client.getBlock(),
      ...keys.map(async (key) => {
        const [validFromSeconds, validUntilSeconds, revokedAtSeconds] = await client.readContract({
          ...contract,
          args: [gatewayId, key],
        })
        return [key, { validFromSeconds, validUntilSeconds, revokedAtSeconds }] as const
      }),
    ])
    return { records: new Map(records), blockSeconds: +`${block.timestamp}` }
  }
}
