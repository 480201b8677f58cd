/** Keys that wait in the timelock of a registry: everybody sees them before they count (spec/contracts.md CO3.5). */
import {
  decodeFunctionData,
  encodeAbiParameters,
  getAbiItem,
  keccak256,
  parseAbiParameters,
} from 'viem/utils'
import { keyRegistryAbi } from './generated/key-registry.ts'
import { registryTimelockAbi } from './generated/registry-timelock.ts'
import type { RegistryReader } from './live-registry.ts'
import { inWindows } from './log-windows.ts'
import type { KeyRegistration } from './register-key.ts'

type Hex = `0x${string}`

/** A registration that was announced and is neither executed nor cancelled. */
export type ScheduledKey = KeyRegistration & {
  /** Unix seconds of the chain: from then on anybody may execute it. */
  readonly readyAtSeconds: number
}

const noBytes: Hex = `0x${'0'.repeat(64)}`
// What `getTimestamp` says of an operation that is done; 0 of one that was cancelled.
const done = 1n

/**
 * Reads them, the earliest first. Only those that `planKeyRegistration` plans: one call, without predecessor and salt.
 *
 * @throws what the node answers.
 */
export async function readScheduledKeys(
  client: RegistryReader,
  where: {
    readonly registry: Hex
    readonly timelock: Hex
    readonly gatewayId: Hex
    /** At or before the deployment of the timelock. */
    readonly fromBlock: bigint
  },
): Promise<readonly ScheduledKey[]> {
  const { registry, timelock: address, gatewayId, fromBlock } = where
  const event = getAbiItem({ abi: registryTimelockAbi, name: 'CallScheduled' })
  const logs = await inWindows(client, fromBlock, (range) =>
    client.getLogs({ address, event, strict: true, ...range }),
  )
  const keys: ScheduledKey[] = []
  for (const { args } of logs) {
    const registration = readRegistration(args.data)
    const isOurs =
      args.target.toLowerCase() === registry.toLowerCase() &&
      registration?.gatewayId.toLowerCase() === gatewayId.toLowerCase() &&
      hashOperation(args.target, args.data) === args.id
    if (registration === undefined || !isOurs) continue
    const readyAt = await client.readContract({
      address,
      abi: registryTimelockAbi,
      functionName: 'getTimestamp',
      args: [args.id],
    })
    if (readyAt > done) keys.push({ ...registration, readyAtSeconds: Number(readyAt) })
  }
  return keys
}

function readRegistration(data: Hex): KeyRegistration | undefined {
  try {
    const { functionName, args } = decodeFunctionData({ abi: keyRegistryAbi, data })
    if (functionName !== 'registerKey') return undefined
    const [gatewayId, key, validFromSeconds, validUntilSeconds, keysetDigest] = args
    return { gatewayId, key, validFromSeconds, validUntilSeconds, keysetDigest }
  } catch {
    // Another call: the timelock can announce anything.
    return undefined
  }
}

/** As the timelock names an operation of 0 wei without predecessor and salt. */
function hashOperation(target: Hex, data: Hex): Hex {
  return keccak256(
    encodeAbiParameters(parseAbiParameters('address, uint256, bytes, bytes32, bytes32'), [
      target,
      0n,
      data,
      noBytes,
      noBytes,
    ]),
  )
}
