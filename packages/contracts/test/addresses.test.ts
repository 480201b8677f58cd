import { getAddress } from 'viem'
import { expect, test } from 'vitest'
import { baseChainId, baseSepoliaChainId, usdcOn } from '../src/addresses.ts'

test('knows USDC on Base Sepolia and on Base by checksummed address and signing domain', () => {
  const sepolia = usdcOn(baseSepoliaChainId)
  expect(sepolia).toEqual({
    chainId: 84_532,
    address: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
    eip712Name: 'USDC',
    eip712Version: '2',
    decimals: 6,
  })
  const base = usdcOn(baseChainId)
  expect(base?.eip712Name).toBe('USD Coin')
  for (const usdc of [sepolia, base]) expect(usdc?.address).toBe(getAddress(usdc?.address ?? ''))
})

test('knows nothing about other chains', () => {
  expect(usdcOn(1)).toBeUndefined()
  expect(usdcOn(Number.NaN)).toBeUndefined()
})
