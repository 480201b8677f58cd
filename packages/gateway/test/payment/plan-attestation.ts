/** Registers charge keys where the timelock has no delay. */
import { planKeyRegistration } from '@countersign/contracts/register-key'
import { keccak256, type Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import type { TestChain } from './chain-process.ts'

/** Announces a key and registers it, where there is no delay. */
export async function planAttestation(
  chain: TestChain,
  contracts: {
    readonly timelock: { readonly address: Hex }
    readonly registry: { readonly address: Hex }
    readonly gatewayId: Hex
  },
  key: Hex,
  untilSeconds?: number,
): Promise<readonly { readonly to: Hex; readonly data: Hex }[]> {
  const { timelock, registry, gatewayId } = contracts
  const from = Number((await chain.client.getBlock()).timestamp)
  const where = { timelock: timelock.address, registry: registry.address }
  const { announce, register } = planKeyRegistration(where, 0, {
    gatewayId,
    key: privateKeyToAddress(key),
    validFromSeconds: from,
    validUntilSeconds: untilSeconds ?? from + 86_400,
    keysetDigest: keccak256('0x77'),
  })
  return [announce, register]
}
