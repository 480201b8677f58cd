import { encodeFunctionData, type Hex } from 'viem'
import { expect, test } from 'vitest'
import type { ChainReader, Payee } from '@countersign/client'
import { createPayeeCheck, type TrustedOperator } from '@countersign/client/payee-check'
import { keyRegistryAbi } from '@countersign/contracts/key-registry'
import { registryTimelockAbi } from '@countersign/contracts/registry-timelock'
import { needsAnvil, sender } from '../../contracts/test/local-chain.ts'
import { gatewayId, openOperatorChain, payeeOwner } from '../../contracts/test/operator-chain.ts'
import { lower, readerOf } from './kit/chain-reader.ts'
import { refusalOf } from './kit/fetch-fixture.ts'

const network = 'eip155:84532'
const noBytes: Hex = `0x${'00'.repeat(32)}`
const terms: TrustedOperator = {
  network,
  gatewayId,
  payeeOwner,
  proposers: [sender],
  guardian: sender,
  minDelaySeconds: 2,
  trustsProposers: true,
}

test('judges contracts, roles and announcements of a registry on a chain', needsAnvil, async () => {
  const chain = await openOperatorChain()
  const { addresses, wallet, mined } = chain
  const readers = { [network]: readerOf(chain) }
  const check = createPayeeCheck({ operators: [terms], readers })
  const payee: Payee = {
    network,
    origin: 'http://127.0.0.1',
    payTo: lower(addresses.payee),
    contract: {
      kind: 'channel',
      authorizer: lower(addresses.authorizer),
      withdrawDelaySeconds: 900,
    },
  }
  const upto = { ...payee, contract: { kind: 'upto', settler: lower(addresses.settler) } } as const
  // Keys were announced and registered: that is what the timelock is for.
  await check(payee)
  await check(upto)
  // Of several nodes all must find it right: one that knows no code, one on another chain, none at all.
  const several = (...own: readonly ChainReader[]): Promise<string> =>
    refusalOf(createPayeeCheck({ operators: [terms], readers: { [network]: own } })(payee))
  const honest = readerOf(chain)
  await createPayeeCheck({ operators: [terms], readers: { [network]: [honest, honest] } })(payee)
  expect(await several(honest, { ...honest, getCode: async () => '0x' })).toBe('payee-foreign')
  expect(await several({ ...honest, chainId: async () => 1n }, honest)).not.toBe('')
  expect(await several()).toBe('network-not-allowed')
  const refused = (changes: Partial<TrustedOperator>, of: Payee = payee): Promise<string> =>
    refusalOf(createPayeeCheck({ operators: [{ ...terms, ...changes }], readers })(of))
  expect(await refused({ guardian: payeeOwner })).toBe('payee-foreign')
  expect(await refused({ minDelaySeconds: 3 })).toBe('payee-foreign')
  expect(await refused({ gatewayId: noBytes })).toBe('payee-foreign')
  expect(await refused({ trustsProposers: false })).toBe('withdraw-delay-too-long')
  // The contracts of one operator have the same addresses everywhere: right on one chain is not right on another.
  const other = 'eip155:8453'
  const both = createPayeeCheck({
    operators: [terms, { ...terms, network: other }],
    readers: {
      ...readers,
      [other]: { ...honest, chainId: async () => 8453n, getCode: async () => '0x' },
    },
  })
  await both(upto)
  expect(await refusalOf(both({ ...upto, network: other }))).toBe('payee-foreign')
  const swapped = { kind: 'upto', settler: lower(addresses.authorizer) } as const
  expect(await refused({}, { ...payee, contract: swapped })).toBe('payee-foreign')

  const change = encodeFunctionData({
    abi: keyRegistryAbi,
    functionName: 'setGuardian',
    args: [payeeOwner],
  })
  const call = [addresses.registry, 0n, change, noBytes, noBytes] as const
  const abi = registryTimelockAbi
  const schedule = encodeFunctionData({ abi, functionName: 'schedule', args: [...call, 2n] })
  await mined(wallet.sendTransaction({ to: addresses.timelock, data: schedule }))
  // Announced and not done: what counts tomorrow is not what was agreed.
  expect(await refusalOf(check(payee))).toBe('registry-changed')
  // A settler was judged a moment ago; its judgement holds for a minute.
  await check(upto)
  for (let block = 0; block < 2; block++) {
    await mined(wallet.sendTransaction({ to: sender, value: 0n }))
  }
  const execute = encodeFunctionData({ abi, functionName: 'execute', args: call })
  await mined(wallet.sendTransaction({ to: addresses.timelock, data: execute }))
  expect(await refusalOf(check(payee))).toBe('registry-changed')
  expect(await refused({}, upto)).toBe('registry-changed')
})
