/** Where USDC lives on the chains Countersign knows, and the EIP-712 domain its signatures are made for. */

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
