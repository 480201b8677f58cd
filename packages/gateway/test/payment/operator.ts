/** Registry, timelock and the contracts of one operator on a test chain. */
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { keyRegistryAbi } from '@countersign/contracts/key-registry'
import { planOperator, planRegistry } from '@countersign/contracts/operator'
import { planKeyRegistration } from '@countersign/contracts/register-key'
import { createWalletClient, encodeFunctionData, http, keccak256, type Hex } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import { expect } from 'vitest'
import type { TestChain } from './chain-process.ts'

/** What was deployed. */
export type TestOperator = {
  readonly authorizer: Hex
  readonly settler: Hex
  readonly registry: Hex
  /** Makes the chain trust this key from now on for a day. */
  registerKey(key: Hex): Promise<void>
  /** The guardian's word: as if the key had never been trusted. */
  revokeKey(key: Hex): Promise<void>
}

/** Deploys for a gateway id of its own; the timelock has no delay. */
export async function deployOperator(
  chain: TestChain,
  gatewayId: Hex,
  payeeOwner: Hex,
): Promise<TestOperator> {
  const account = privateKeyToAccount(chain.nextSettlementKey())
  const wallet = createWalletClient({
    account,
    chain: baseSepolia,
    transport: http(chain.rpcUrl, { timeout: 60_000 }),
  })
  const x402 = baseSepoliaX402
  const roles = { minDelaySeconds: 0, proposers: [account.address], guardian: account.address }
  const { timelock, registry } = planRegistry({ x402, ...roles })
  const contracts = planOperator({ x402, registry: registry.address, gatewayId, payeeOwner })
  let nonce = 0
  const send = async (call: { readonly to: Hex; readonly data: Hex }): Promise<void> => {
    const hash = await wallet.sendTransaction({ ...call, nonce, gas: 4_000_000n })
    nonce++
    expect((await chain.mined(hash)).status).toBe('success')
  }
  for (const { to, data } of [timelock, registry, contracts.authorizer, contracts.settler]) {
    await send({ to, data })
  }
  return {
    authorizer: contracts.authorizer.address,
    settler: contracts.settler.address,
    registry: registry.address,
    registerKey: async (privateKey) => {
      const validFromSeconds = Number((await chain.client.getBlock()).timestamp)
      const { announce, register } = planKeyRegistration(
        { timelock: timelock.address, registry: registry.address },
        0,
        {
          gatewayId,
          key: privateKeyToAddress(privateKey),
          validFromSeconds,
          validUntilSeconds: validFromSeconds + 86_400,
          keysetDigest: keccak256('0x77'),
        },
      )
      await send(announce)
      await send(register)
    },
    revokeKey: (privateKey) =>
      send({
        to: registry.address,
        data: encodeFunctionData({
          abi: keyRegistryAbi,
          functionName: 'revokeKey',
          args: [gatewayId, privateKeyToAddress(privateKey), 1],
        }),
      }),
  }
}
