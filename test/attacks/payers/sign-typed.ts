/** Signatures over x402's typed data, from the facts alone: nothing of the server under attack is used. */
import { privateKeyToAccount } from 'viem/accounts'
import type { Hex } from 'viem'

/** Addresses that are the same on every chain. */
export const contracts = {
  permit2: '0x000000000022D473030F116dDEE9F6B43aC78BA3',
  exactProxy: '0x402085c248EeA27D92E8b30b2C58ed07f9E20001',
  uptoProxy: '0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002',
  batch: '0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003',
  erc3009Collector: '0x4020806089470a89826cB9fB1f4059150b550004',
} as const

/** A struct of EIP-712, as text pairs. */
export type Struct = readonly { readonly name: string; readonly type: string }[]

/** Signs one struct. */
export function signTyped(
  key: Hex,
  domain: Record<string, unknown>,
  types: Readonly<Record<string, Struct>>,
  primaryType: string,
  message: Record<string, unknown>,
): Promise<Hex> {
  return privateKeyToAccount(key).signTypedData({
    domain,
    types: Object.fromEntries(Object.entries(types).map(([name, struct]) => [name, [...struct]])),
    primaryType,
    message,
  })
}

/** `uint256 value` as a field. */
export function fields(text: string): Struct {
  return text.split(',').map((field) => {
    const [type = '', name = ''] = field.trim().split(' ')
    return { name, type }
  })
}

/** The chain id of a CAIP-2 name. */
export function chainIdOf(network: string): number {
  return Number(network.split(':')[1])
}

/** A whole number in the text, or the other one: what no signature can carry is signed as if it were good. */
export function signable(text: string | undefined, otherwise: bigint): bigint {
  return text !== undefined && /^\d{1,38}$/.test(text) ? BigInt(text) : otherwise
}

/** An address as typed data takes it. */
export function hex(text: unknown): Hex {
  return `0x${String(text).slice(2)}`
}

/** A key that nobody funded. */
export const strangerKey: Hex = `0x${'5'.repeat(64)}`
