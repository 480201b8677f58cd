import { hashTypedData } from 'viem'
import { expect, test } from 'vitest'
import { baseSepoliaX402 } from '../src/addresses.ts'
import { channelAuthorizerAbi } from '../src/generated/channel-authorizer.ts'
import { gatewayPayeeAbi } from '../src/generated/gateway-payee.ts'
import { keyRegistryAbi } from '../src/generated/key-registry.ts'
import { uptoSettlerAbi } from '../src/generated/upto-settler.ts'
import { deployMissing, findForeignContracts, planOperator, planRegistry } from '../src/operator.ts'
import type { OperatorTerms, RegistryTerms } from '../src/operator.ts'
import { createUptoSettlerDomain, uptoChargeTypes } from '../src/upto-charge.ts'
import { needsAnvil, payee, sender } from './local-chain.ts'
import { gatewayId, openOperatorChain, payeeOwner } from './operator-chain.ts'

const terms: OperatorTerms = {
  x402: baseSepoliaX402,
  registry: '0x00000000000000000000000000000000000000AA',
  gatewayId,
  payeeOwner,
}

test(
  "an operator's contracts stand where their terms say, and do what they say",
  needsAnvil,
  async () => {
    const { reader, addresses, enclave, deploy, deployed } = await openOperatorChain()
    expect(deployed).toBe(5)
    expect(await deploy()).toBe(0)
    const authorizer = { address: addresses.authorizer, abi: channelAuthorizerAbi } as const
    expect(await reader.readContract({ ...authorizer, functionName: 'REGISTRY' })).toBe(
      addresses.registry,
    )
    expect(await reader.readContract({ ...authorizer, functionName: 'GATEWAY_ID' })).toBe(gatewayId)
    const owner = { address: addresses.payee, abi: gatewayPayeeAbi, functionName: 'owner' } as const
    expect(await reader.readContract(owner)).toBe(payeeOwner)
    const proxy = {
      address: addresses.settler,
      abi: uptoSettlerAbi,
      functionName: 'PROXY',
    } as const
    expect(await reader.readContract(proxy)).toBe(baseSepoliaX402.uptoPermit2Proxy)
    const registry = { address: addresses.registry, abi: keyRegistryAbi } as const
    expect(await reader.readContract({ ...registry, functionName: 'owner' })).toBe(
      addresses.timelock,
    )
    expect(await reader.readContract({ ...registry, functionName: 'registrar' })).toBe(
      addresses.timelock,
    )
    const digest = gatewayId
    const signature = await enclave.sign({ hash: digest })
    const ask = {
      ...authorizer,
      functionName: 'isValidSignature',
      args: [digest, signature],
    } as const
    expect(await reader.readContract(ask)).toBe('0x1626ba7e')
  },
)

test('a charge is hashed as the specification says', () => {
  const message = {
    payer: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
    token: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
    payee,
    nonce: BigInt(`0x${'11'.repeat(32)}`),
    amount: 12_345n,
  } as const
  const domain = createUptoSettlerDomain(84_532, `0x${'11'.repeat(20)}`)
  const typed = { domain, types: uptoChargeTypes, primaryType: 'UptoCharge', message } as const
  expect(hashTypedData(typed)).toBe(
    '0x8abeaef9be90fa44f821e713a0a6fa46ac8dce04056ad893b9293eba4b29df1e',
  )
})

test('whoever announces other contracts than the terms give is found out', () => {
  const plan = planOperator(terms)
  const announced = {
    payee: plan.payee.address,
    authorizer: plan.authorizer.address,
    settler: plan.settler.address,
  }
  expect(findForeignContracts(announced, terms)).toEqual([])
  expect(findForeignContracts({ ...announced, payee: payeeOwner }, terms)).toEqual(['payee'])
  expect(findForeignContracts({ ...announced, authorizer: sender, settler: payee }, terms)).toEqual(
    ['authorizer', 'settler'],
  )
  const other = { ...terms, registry: sender } as const
  expect(findForeignContracts(announced, other)).toEqual(['authorizer', 'settler'])
  expect(findForeignContracts(announced, { ...terms, payeeOwner: sender })).toEqual(['payee'])
  const anotherGateway = { ...terms, gatewayId: `0x${'11'.repeat(32)}` } as const
  expect(findForeignContracts(announced, anotherGateway)).toEqual([
    'payee',
    'authorizer',
    'settler',
  ])
})

test('a registry stands where its delay, its proposers and its guardian say', () => {
  const registryTerms: RegistryTerms = {
    x402: baseSepoliaX402,
    minDelaySeconds: 3600,
    proposers: [sender],
    guardian: payee,
  }
  const { registry, timelock } = planRegistry(registryTerms)
  expect(planRegistry(registryTerms).registry).toEqual(registry)
  const others: readonly RegistryTerms[] = [
    { ...registryTerms, minDelaySeconds: 3599 },
    { ...registryTerms, proposers: [payee] },
  ]
  for (const other of others) {
    const changed = planRegistry(other)
    expect(changed.timelock.address).not.toBe(timelock.address)
    expect(changed.registry.address).not.toBe(registry.address)
  }
  const guarded = planRegistry({ ...registryTerms, guardian: sender })
  expect(guarded.timelock.address).toBe(timelock.address)
  expect(guarded.registry.address).not.toBe(registry.address)
})

test('a deployment that leaves no code is an error', async () => {
  const { payee: deployment } = planOperator(terms)
  const chain = { hasCode: () => Promise.resolve(false), send: () => Promise.resolve() }
  await expect(deployMissing([deployment], chain)).rejects.toThrow(deployment.address)
})
