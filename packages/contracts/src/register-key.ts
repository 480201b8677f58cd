/** How a settlement key gets into a registry that a timelock owns: announced now, registered when the delay is over. */

import { encodeFunctionData } from 'viem/utils'
import { keyRegistryAbi } from './generated/key-registry.ts'
import { registryTimelockAbi } from './generated/registry-timelock.ts'

type Hex = `0x${string}`

/** A key as the registry records it (spec/contracts.md CO3.1). */
export type KeyRegistration = {
  readonly gatewayId: Hex
  /** Address of the settlement key. */
  readonly key: Hex
  /** Unix seconds; at most 86,400 apart. */
  readonly validFromSeconds: number
  readonly validUntilSeconds: number
  /** SHA-256 of the keyset statement that names the key. */
  readonly keysetDigest: Hex
}

/** A transaction of 0 wei. */
export type ContractCall = { readonly to: Hex; readonly data: Hex }

const noBytes: Hex = `0x${'0'.repeat(64)}`

/**
 * The two transactions of a registration. `announce` is for a proposer; `register` for anybody, once `minDelaySeconds`
 * have passed on the chain since the block of the first. Each succeeds once.
 */
export function planKeyRegistration(
  contracts: { readonly timelock: Hex; readonly registry: Hex },
  minDelaySeconds: number,
  registration: KeyRegistration,
): { readonly announce: ContractCall; readonly register: ContractCall } {
  const { gatewayId, key, validFromSeconds, validUntilSeconds, keysetDigest } = registration
  const data = encodeFunctionData({
    abi: keyRegistryAbi,
    functionName: 'registerKey',
    args: [gatewayId, key, validFromSeconds, validUntilSeconds, keysetDigest],
  })
  // No predecessor and no salt: the record itself makes the operation unique.
  const operation = [contracts.registry, 0n, data, noBytes, noBytes] as const
  const announce = encodeFunctionData({
    abi: registryTimelockAbi,
    functionName: 'schedule',
    args: [...operation, BigInt(minDelaySeconds)],
  })
  const register = encodeFunctionData({
    abi: registryTimelockAbi,
    functionName: 'execute',
    args: operation,
  })
  return {
    announce: { to: contracts.timelock, data: announce },
    register: { to: contracts.timelock, data: register },
  }
}
