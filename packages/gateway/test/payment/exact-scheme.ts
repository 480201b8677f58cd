/** The scheme under test with the terms of every test. */
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { hexToBytes, type Hex } from 'viem'
import type { PaymentScheme } from '../../src/payment/admission.ts'
import { loadEvmCurve } from '../../src/payment/evm-curve.ts'
import { createExactPayment, type ExactOptions } from '../../src/payment/exact/exact-payment.ts'
import type { TestChain } from './chain-process.ts'
import { createDirectory } from './requests.ts'
import { startRpcProxy, type RpcProxy } from './rpc-proxy.ts'

const curve = await loadEvmCurve()

/** Who is paid in all tests. */
const payTo = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'

/** Options for one scheme on this chain, with a settlement key of its own. */
export function createExactOptions(
  chain: TestChain,
  overrides: Partial<ExactOptions> = {},
): ExactOptions {
  return {
    network: 'eip155:84532',
    asset: baseSepoliaUsdc.address,
    assetName: baseSepoliaUsdc.eip712Name,
    assetVersion: baseSepoliaUsdc.eip712Version,
    payTo,
    rpcUrl: chain.rpcUrl,
    settlementKey: chain.nextSettlementKey(),
    curve,
    maxTimeoutSeconds: 120,
    resourceBaseUrl: 'http://gateway.test',
    settle: { kind: 'before' },
    databaseFile: join(createDirectory(), 'exact.sqlite'),
    clock: () => Date.now(),
    onFault: (error) => {
      throw error
    },
    ...overrides,
  }
}

/** A scheme behind a proxy that counts its broadcasts; both end with the test. */
export async function startExact(
  chain: TestChain,
  overrides: Partial<ExactOptions> = {},
): Promise<{
  readonly scheme: PaymentScheme
  readonly proxy: RpcProxy
  readonly options: ExactOptions
}> {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  const options = createExactOptions(chain, { rpcUrl: proxy.url, ...overrides })
  const scheme = createExactPayment(options)
  onTestFinished(() => scheme.close())
  return { scheme, proxy, options }
}

/** What an account holds of the test token. */
export async function balanceOf(chain: TestChain, account: Hex): Promise<bigint> {
  return chain.client.readContract({
    address: baseSepoliaUsdc.address,
    abi: [
      {
        type: 'function',
        name: 'balanceOf',
        stateMutability: 'view',
        inputs: [{ name: 'account', type: 'address' }],
        outputs: [{ name: '', type: 'uint256' }],
      },
    ],
    functionName: 'balanceOf',
    args: [account],
  })
}

/** Bytes of 0x hex. */
export const bytesOf = (hex: string): Uint8Array => hexToBytes(`0x${hex.slice(2)}`)
