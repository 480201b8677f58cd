/** The content of the genesis file, in geth's format. */

import { encodeAbiParameters, keccak256, numberToHex } from 'viem/utils'
import { baseSepoliaChainId, baseSepoliaUsdc, baseSepoliaX402 } from '../addresses.ts'
import { batchSettlementRuntimeCode } from '../generated/batch-settlement.ts'
import { erc3009DepositCollectorRuntimeCode } from '../generated/erc3009-deposit-collector.ts'
import { exactPermit2ProxyRuntimeCode } from '../generated/exact-permit2-proxy.ts'
import { multicall3RuntimeCode } from '../generated/multicall3.ts'
import { permit2RuntimeCode } from '../generated/permit2.ts'
import { permit2DepositCollectorRuntimeCode } from '../generated/permit2-deposit-collector.ts'
import { testUsdcRuntimeCode } from '../generated/test-usdc.ts'
import { uptoPermit2ProxyRuntimeCode } from '../generated/upto-permit2-proxy.ts'
import type { GenesisBalances } from './genesis-balances.ts'

/** The CREATE2 factory that all chains share (Arachnid's deterministic deployment proxy): it is 69 bytes long. */
const create2FactoryRuntimeCode =
  '0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3'

/** Contracts without storage of their own at the start. */
const placedCode: ReadonlyMap<`0x${string}`, `0x${string}`> = new Map([
  [baseSepoliaX402.permit2, permit2RuntimeCode],
  [baseSepoliaX402.exactPermit2Proxy, exactPermit2ProxyRuntimeCode],
  [baseSepoliaX402.uptoPermit2Proxy, uptoPermit2ProxyRuntimeCode],
  [baseSepoliaX402.batchSettlement, batchSettlementRuntimeCode],
  [baseSepoliaX402.erc3009DepositCollector, erc3009DepositCollectorRuntimeCode],
  [baseSepoliaX402.permit2DepositCollector, permit2DepositCollectorRuntimeCode],
  [baseSepoliaX402.multicall3, multicall3RuntimeCode],
  [baseSepoliaX402.create2Factory, create2FactoryRuntimeCode],
])

const BALANCE_SLOT = 0n
const TOTAL_SUPPLY_SLOT = 1n
const MAPPING_KEY = [{ type: 'address' }, { type: 'uint256' }] as const

/** UTF-8 JSON: the balances, the test USDC with its storage, and the x402 contracts, all at their canonical addresses. */
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
  for (const [address, code] of placedCode) {
    alloc.set(address.toLowerCase(), { balance: '0x0', code })
  }
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
