import { encodeFunctionData, getAddress, keccak256, stringToHex, zeroAddress } from 'viem'
import type { Hex } from 'viem'
import { expect, test } from 'vitest'
import { keyRegistryAbi } from '../src/generated/key-registry.ts'
import { registryTimelockAbi } from '../src/generated/registry-timelock.ts'
import { judgeRegistry, readLiveRegistry } from '../src/live-registry.ts'
import type { ExpectedRegistry, LiveRegistry } from '../src/live-registry.ts'
import { needsAnvil, payee, sender } from './local-chain.ts'
import { gatewayId, openOperatorChain } from './operator-chain.ts'

const guardian = getAddress(sender)
const timelock: Hex = '0x00000000000000000000000000000000000000AA'
const expected: ExpectedRegistry = {
  timelock,
  guardian,
  proposers: [guardian],
  minDelaySeconds: 100,
  withdrawDelaySeconds: 99,
}
const live: LiveRegistry = {
  owner: timelock,
  pendingOwner: zeroAddress,
  registrar: timelock,
  guardian,
  minDelaySeconds: 100,
  proposers: [guardian],
  administrators: [timelock],
  keys: [],
}

test('a registry that is what was announced has no finding, whatever the case of the letters', () => {
  expect(judgeRegistry(live, expected)).toEqual([])
  const lower: Hex = '0x00000000000000000000000000000000000000aa'
  expect(judgeRegistry({ ...live, owner: lower }, expected)).toEqual([])
})

test.each<readonly [string, Partial<LiveRegistry>, Partial<ExpectedRegistry>]>([
  ['administrator-foreign', { administrators: [timelock, payee] }, {}],
  ['delay-changed', { minDelaySeconds: 101 }, {}],
  ['delay-not-above-withdrawal', {}, { withdrawDelaySeconds: 100 }],
  ['guardian-changed', { guardian: payee }, {}],
  ['owner-changed', { owner: payee }, {}],
  ['owner-changed', { pendingOwner: payee }, {}],
  ['proposer-foreign', { proposers: [guardian, payee] }, {}],
  ['registrar-changed', { registrar: payee }, {}],
])('%s is found', (finding, changes, terms) => {
  expect(judgeRegistry({ ...live, ...changes }, { ...expected, ...terms })).toEqual([finding])
})

test('what an operator changed after it deployed is read from the chain', needsAnvil, async () => {
  const { reader, wallet, mined, addresses, enclave } = await openOperatorChain()
  const where = { registry: addresses.registry, timelock: addresses.timelock, gatewayId }
  const announced: ExpectedRegistry = {
    timelock: addresses.timelock,
    guardian,
    proposers: [guardian],
    minDelaySeconds: 2,
    withdrawDelaySeconds: 1,
  }
  const read = (): Promise<LiveRegistry> =>
    readLiveRegistry(reader, { ...where, fromBlock: 0n, nowSeconds: Date.now() / 1000 })
  const before = await read()
  expect(judgeRegistry(before, announced)).toEqual([])
  expect(before.keys.map(({ key }) => key)).toEqual([enclave.address])
  const throughTimelock = async (target: Hex, data: Hex): Promise<void> => {
    const none: Hex = `0x${'0'.repeat(64)}`
    const operation = [target, 0n, data, none, none] as const
    const abi = registryTimelockAbi
    const to = addresses.timelock
    const schedule = { abi, functionName: 'schedule', args: [...operation, 2n] } as const
    await mined(wallet.sendTransaction({ to, data: encodeFunctionData(schedule) }))
    for (let block = 0; block < 3; block += 1) {
      await mined(wallet.sendTransaction({ to: sender, value: 0n }))
    }
    const execute = { abi, functionName: 'execute', args: operation } as const
    await mined(wallet.sendTransaction({ to, data: encodeFunctionData(execute) }))
  }
  const setRegistrar = { functionName: 'setRegistrar', args: [payee] } as const
  await throughTimelock(
    addresses.registry,
    encodeFunctionData({ abi: keyRegistryAbi, ...setRegistrar }),
  )
  const role = keccak256(stringToHex('PROPOSER_ROLE'))
  const grant = { functionName: 'grantRole', args: [role, payee] } as const
  await throughTimelock(
    addresses.timelock,
    encodeFunctionData({ abi: registryTimelockAbi, ...grant }),
  )
  const revoke = { functionName: 'revokeKey', args: [gatewayId, enclave.address, 1] } as const
  const data = encodeFunctionData({ abi: keyRegistryAbi, ...revoke })
  await mined(wallet.sendTransaction({ to: addresses.registry, data }))
  const after = await read()
  expect(judgeRegistry(after, announced)).toEqual(['proposer-foreign', 'registrar-changed'])
  expect(after.keys).toEqual([])
})
