/** What the tests of the test USDC share: a chain with two holders, and signatures of the payer. */

import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  keccak256,
  toBytes,
} from 'viem'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { baseSepolia } from 'viem/chains'
import { vi } from 'vitest'
import { baseSepoliaUsdc } from '../src/addresses.ts'
import { testUsdcAbi } from '../src/generated/test-usdc.ts'
import {
  payee,
  payer,
  payerKey,
  sender,
  startLocalChain,
  temporaryDirectory,
} from './local-chain.ts'

export const token = { address: baseSepoliaUsdc.address, abi: testUsdcAbi } as const
export const payerAccount = privateKeyToAccount(payerKey)

export const domain = {
  name: 'USDC',
  version: '2',
  chainId: 84_532,
  verifyingContract: baseSepoliaUsdc.address,
} as const

const authorizationFields = [
  { name: 'from', type: 'address' },
  { name: 'to', type: 'address' },
  { name: 'value', type: 'uint256' },
  { name: 'validAfter', type: 'uint256' },
  { name: 'validBefore', type: 'uint256' },
  { name: 'nonce', type: 'bytes32' },
] as const

type Authorization = {
  readonly from: Hex
  readonly to: Hex
  readonly value: bigint
  readonly validAfter: bigint
  readonly validBefore: bigint
  readonly nonce: Hex
}

export async function openToken() {
  const chain = await startLocalChain(temporaryDirectory(), {
    fund: [`${sender}=1000000000000000000`, `${payee}=1000000000000000000`],
    usdc: [`${payer}=5000000`, `${sender}=70000`],
  })
  const reader = createPublicClient({
    chain: baseSepolia,
    transport: chain.transport,
    cacheTime: 0,
  })
  const wallet = (key: Hex) =>
    createWalletClient({
      account: privateKeyToAccount(key),
      chain: baseSepolia,
      transport: chain.transport,
    })
  const settled = async (sent: Promise<Hex>) => {
    const hash = await sent
    await vi.waitUntil(() => chain.read('eth_getTransactionReceipt', [hash]), {
      timeout: 60_000,
      interval: 5,
    })
    return reader.getTransactionReceipt({ hash })
  }
  const balanceOf = (owner: Hex) =>
    reader.readContract({ ...token, functionName: 'balanceOf', args: [owner] })
  return { chain, reader, wallet, settled, balanceOf }
}

export function authorization(change: Partial<Authorization>): Authorization {
  return {
    from: payer,
    to: payee,
    value: 1n,
    validAfter: 0n,
    validBefore: 1_800_000_000n,
    nonce: keccak256(toBytes('one')),
    ...change,
  }
}

export function argumentsOf(a: Authorization) {
  return [a.from, a.to, a.value, a.validAfter, a.validBefore, a.nonce] as const
}

export function signAuthorization(
  primaryType: 'TransferWithAuthorization' | 'ReceiveWithAuthorization',
  message: Authorization,
): Promise<Hex> {
  return payerAccount.signTypedData({
    domain,
    types: { [primaryType]: authorizationFields },
    primaryType,
    message,
  })
}

/** 'accepted', or the name of the contract's error. Anything else that goes wrong is thrown. */
export async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
    return 'accepted'
  } catch (error) {
    const revert =
      error instanceof BaseError
        ? error.walk((cause) => cause instanceof ContractFunctionRevertedError)
        : undefined
    if (revert instanceof ContractFunctionRevertedError) return revert.data?.errorName ?? 'unknown'
    throw error
  }
}
