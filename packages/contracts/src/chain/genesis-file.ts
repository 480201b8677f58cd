/** The content of the genesis file, in geth's format. */

import { encodeAbiParameters, keccak256, numberToHex } from 'viem/utils'
import { baseSepoliaChainId, baseSepoliaUsdc } from '../addresses.ts'
import { testUsdcRuntimeCode } from '../generated/test-usdc.ts'
import type { GenesisBalances } from './genesis-balances.ts'

const BALANCE_SLOT = 0n
const TOTAL_SUPPLY_SLOT = 1n
const MAPPING_KEY = [{ type: 'address' }, { type: 'uint256' }] as const

/** UTF-8 JSON: the balances, and the test USDC with its storage at the canonical address. */
export function encodeGenesis(
  balances: GenesisBalances,
  timestampSeconds: number,
  gasLimit: bigint,
): Uint8Array {
  const genesis = createGenesis(balances, timestampSeconds, gasLimit)
  return new TextEncoder().encode(`${JSON.stringify(genesis, null, 2)}\n`)
}

function createGenesis(
  balances: GenesisBalances,
  timestampSeconds: number,
  gasLimit: bigint,
): unknown {
  const alloc = new Map<string, unknown>()
  for (const [address, wei] of balances.wei) alloc.set(address, { balance: numberToHex(wei) })
  alloc.set(baseSepoliaUsdc.address.toLowerCase(), {
    balance: '0x0',
    code: testUsdcRuntimeCode,
    storage: usdcStorage(balances.usdcAtomic),
  })
  return {
    config: { chainId: baseSepoliaChainId },
    nonce: '0x0',
    timestamp: numberToHex(timestampSeconds),
    extraData: '0x',
    gasLimit: numberToHex(gasLimit),
    difficulty: '0x0',
    mixHash: word(0n),
    coinbase: `0x${'0'.repeat(40)}`,
    alloc: Object.fromEntries(alloc),
  }
}

/** The layout is documented in TestUSDC.sol: balances in slot 0, their sum in slot 1. */
function usdcStorage(balances: ReadonlyMap<`0x${string}`, bigint>): Record<string, string> {
  const storage = new Map<string, string>()
  let totalSupply = 0n
  for (const [holder, amount] of balances) {
    totalSupply += amount
    storage.set(keccak256(encodeAbiParameters(MAPPING_KEY, [holder, BALANCE_SLOT])), word(amount))
  }
  storage.set(word(TOTAL_SUPPLY_SLOT), word(totalSupply))
  return Object.fromEntries(storage)
}

function word(value: bigint): string {
  return numberToHex(value, { size: 32 })
}
