/** The questions and orders we give anvil, with answers parsed as strictly as anything from outside. */

import { gunzipSync } from 'node:zlib'
import type { AnvilClient } from './anvil-rpc.ts'
import { AnvilGone } from './anvil-rpc.ts'

/** The newest block and what the next one will ask for gas. */
export type Head = {
  readonly number: number
  readonly timestampSeconds: number
  readonly nextBaseFeeWei: bigint
}

/** Reads the head of the chain. */
export async function readHead(client: AnvilClient): Promise<Head> {
  const latest = await client.call('eth_getBlockByNumber', ['latest', false])
  const pending = await client.call('eth_getBlockByNumber', ['pending', false])
  return {
    number: toNumber(member(latest, 'number')),
    timestampSeconds: toNumber(member(latest, 'timestamp')),
    nextBaseFeeWei: toBigInt(member(pending, 'baseFeePerGas')),
  }
}

/** Mines one block of everything that is pending, with exactly this timestamp. */
export async function mineBlock(client: AnvilClient, timestampSeconds: number): Promise<void> {
  await client.call('evm_setNextBlockTimestamp', [timestampSeconds])
  await client.call('evm_mine', [])
}

/** Offers a signed transaction to the pool. */
export async function offerTransaction(client: AnvilClient, raw: string): Promise<void> {
  await client.call('eth_sendRawTransaction', [raw])
}

/** Whether a transaction with this hash is pending or mined. */
export async function holdsTransaction(client: AnvilClient, hash: string): Promise<boolean> {
  return (await client.call('eth_getTransactionByHash', [hash])) !== null
}

/** Whether a transaction is in no block. */
export async function isUnmined(client: AnvilClient, hash: string): Promise<boolean> {
  return (await client.call('eth_getTransactionReceipt', [hash])) === null
}

/** Nonce and balance of an account after the newest block. */
export async function readAccount(
  client: AnvilClient,
  address: string,
): Promise<{ nonce: number; balanceWei: bigint }> {
  const nonce = await client.call('eth_getTransactionCount', [address, 'latest'])
  const balance = await client.call('eth_getBalance', [address, 'latest'])
  return { nonce: toNumber(nonce), balanceWei: toBigInt(balance) }
}

/** Transactions in anvil's pool, whether ready or waiting for a nonce. */
export async function countPooled(client: AnvilClient): Promise<number> {
  const status = await client.call('txpool_status', [])
  return toNumber(member(status, 'pending')) + toNumber(member(status, 'queued'))
}

/** The whole state, as `--load-state` reads it. Pooled transactions are not in it. */
export async function dumpState(client: AnvilClient): Promise<Uint8Array> {
  const dump = await client.call('anvil_dumpState', [])
  if (typeof dump !== 'string' || !dump.startsWith('0x')) throw new AnvilGone('no state dump')
  return gunzipSync(Buffer.from(dump.slice(2), 'hex'))
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) throw new AnvilGone(`no ${key} in the answer`)
  return Object.getOwnPropertyDescriptor(value, key)?.value
}

function toBigInt(value: unknown): bigint {
  if (typeof value !== 'string' || !/^0x[0-9a-f]{1,64}$/.test(value)) {
    throw new AnvilGone('expected a hex quantity')
  }
  return BigInt(value)
}

function toNumber(value: unknown): number {
  const quantity = toBigInt(value)
  if (quantity > BigInt(Number.MAX_SAFE_INTEGER)) throw new AnvilGone('quantity too large')
  return Number(quantity)
}
