/**
 * Where USDC and the x402 contracts live on the chains Countersign knows. This file is the only place that says so:
 * what is not here is unknown, and callers must refuse, not guess.
 */

/** Base Sepolia, and the embedded chain, which uses its id so that stock x402 clients work with their defaults. */
export const baseSepoliaChainId = 84_532

/** Base. */
export const baseChainId = 8453

/** One EIP-3009 token on one chain. */
export type UsdcDeployment = {
  /** EIP-155 chain id. */
  readonly chainId: number
  /** EIP-55 checksummed address. */
  readonly address: `0x${string}`
  /** EIP-712 domain name. It differs between the two chains. */
  readonly eip712Name: string
  /** EIP-712 domain version. */
  readonly eip712Version: string
  /** Decimals of one dollar in atomic units. */
  readonly decimals: number
}

/** USDC on Base Sepolia; on the embedded chain our test token lives at the same address. */
export const baseSepoliaUsdc: UsdcDeployment = {
  chainId: baseSepoliaChainId,
  address: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
  eip712Name: 'USDC',
  eip712Version: '2',
  decimals: 6,
}

/** USDC on Base. */
export const baseUsdc: UsdcDeployment = {
  chainId: baseChainId,
  address: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913',
  eip712Name: 'USD Coin',
  eip712Version: '2',
  decimals: 6,
}

const deployments: ReadonlyMap<number, UsdcDeployment> = new Map([
  [baseSepoliaChainId, baseSepoliaUsdc],
  [baseChainId, baseUsdc],
])

/**
 * USDC on a chain, or undefined where Countersign knows none: callers must refuse, not guess.
 *
 * @example usdcOn(84532)?.address // '0x036CbD53842c5426634e7929541eC2318f3dCF7e'
 */
export function usdcOn(chainId: number): UsdcDeployment | undefined {
  return deployments.get(chainId)
}

/** The contracts of x402 on one chain, and what they stand on. EIP-55 checksummed addresses. */
export type X402Deployment = {
  /** EIP-155 chain id. */
  readonly chainId: number
  /** Uniswap's Permit2. */
  readonly permit2: `0x${string}`
  /** Settles `exact` payments made with Permit2. */
  readonly exactPermit2Proxy: `0x${string}`
  /** Settles `upto` payments. */
  readonly uptoPermit2Proxy: `0x${string}`
  /** The channels of `batch-settlement`. */
  readonly batchSettlement: `0x${string}`
  /** Deposits by EIP-3009. */
  readonly erc3009DepositCollector: `0x${string}`
  /** Deposits by Permit2. */
  readonly permit2DepositCollector: `0x${string}`
  /** Many reads in one call. */
  readonly multicall3: `0x${string}`
  /** Deploys at addresses that follow from the code: takes salt (32 bytes) and creation code. */
  readonly create2Factory: `0x${string}`
}

/** The same on every EVM chain, by construction (CREATE2). The embedded chain has them from its genesis. */
const canonicalX402 = {
  permit2: '0x000000000022D473030F116dDEE9F6B43aC78BA3',
  exactPermit2Proxy: '0x402085c248EeA27D92E8b30b2C58ed07f9E20001',
  uptoPermit2Proxy: '0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002',
  batchSettlement: '0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003',
  erc3009DepositCollector: '0x4020806089470a89826cB9fB1f4059150b550004',
  permit2DepositCollector: '0x4020425FAf3B746C082C2f942b4E5159887B0005',
  multicall3: '0xcA11bde05977b3631167028862bE2a173976CA11',
  create2Factory: '0x4e59b44847b379578588920cA78FbF26c0B4956C',
} as const

/** On Base Sepolia and on the embedded chain. */
export const baseSepoliaX402: X402Deployment = { chainId: baseSepoliaChainId, ...canonicalX402 }

/** On Base. */
export const baseX402: X402Deployment = { chainId: baseChainId, ...canonicalX402 }

const x402Deployments: ReadonlyMap<number, X402Deployment> = new Map([
  [baseSepoliaChainId, baseSepoliaX402],
  [baseChainId, baseX402],
])

/**
 * The x402 contracts on a chain, or undefined where Countersign knows none.
 *
 * @example x402On(8453)?.batchSettlement // '0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003'
 */
export function x402On(chainId: number): X402Deployment | undefined {
  return x402Deployments.get(chainId)
}
