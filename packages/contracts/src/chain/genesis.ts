/** The genesis file: who starts with what, and the test USDC at its canonical address. Written once, then kept. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { baseSepoliaX402 } from '../addresses.ts'
import { replaceFileDurably } from './durable-file.ts'
import { ChainError } from './errors.ts'
import type { GenesisBalances } from './genesis-balances.ts'

/** The genesis in force. */
export type Genesis = {
  readonly path: string
  readonly timestampSeconds: number
  /** False when the file was there before and the balances given now were ignored. */
  readonly created: boolean
}

/** Gas per block. One transaction may use 16,777,216 (EIP-7825). */
export const blockGasLimit = 300_000_000n

const MAX_BALANCE = (1n << 128n) - 1n

/**
 * Reads the genesis of a data directory, or writes it on the first start. The file is replaced atomically, so a
 * crash during the first start leaves either no genesis (and no chain) or a whole one.
 *
 * @throws ChainError `genesis-invalid` when the file is not a genesis of this chain, `genesis-outdated` when it lacks
 * the payment contracts.
 */
export async function prepareGenesis(
  directory: string,
  balances: GenesisBalances,
  nowMs: number,
): Promise<Genesis> {
  const path = join(directory, 'genesis.json')
  const existing = await readIfThere(path)
  if (existing !== undefined) {
    const timestampSeconds = readTimestamp(existing)
    if (!existing.includes(`"${baseSepoliaX402.batchSettlement.toLowerCase()}": {`)) {
      throw new ChainError('genesis-outdated', directory)
    }
    return { path, timestampSeconds, created: false }
  }
  const timestampSeconds = Math.floor(nowMs / 1000)
  // Loaded on the first start only: hashing storage keys takes a library that later starts can do without.
  const { encodeGenesis } = await import('./genesis-file.ts')
  await replaceFileDurably(path, encodeGenesis(balances, timestampSeconds, blockGasLimit))
  return { path, timestampSeconds, created: true }
}

/** @throws ChainError `genesis-invalid` for a malformed address, a repeated one or a balance over 2^128 - 1. */
export function parseBalances(entries: readonly string[]): Map<`0x${string}`, bigint> {
  const balances = new Map<`0x${string}`, bigint>()
  for (const entry of entries) {
    const match = /^(0x[0-9a-fA-F]{40})=(0|[1-9][0-9]{0,38})$/.exec(entry)
    const address = match?.[1]
    const amount = BigInt(match?.[2] ?? '-1')
    if (address === undefined) {
      throw new ChainError('genesis-invalid', `expected ADDRESS=AMOUNT, got ${entry}`)
    }
    if (amount > MAX_BALANCE) throw new ChainError('genesis-invalid', `too much: ${entry}`)
    const key: `0x${string}` = `0x${address.slice(2).toLowerCase()}`
    if (balances.has(key)) throw new ChainError('genesis-invalid', `twice: ${address}`)
    balances.set(key, amount)
  }
  return balances
}

function readTimestamp(text: string): number {
  let genesis: unknown
  try {
    genesis = JSON.parse(text)
  } catch (cause) {
    throw new ChainError('genesis-invalid', 'not JSON', { cause })
  }
  if (typeof genesis === 'object' && genesis !== null && 'timestamp' in genesis) {
    const { timestamp } = genesis
    if (typeof timestamp === 'string' && /^0x[0-9a-f]{1,10}$/.test(timestamp)) {
      return Number(timestamp)
    }
  }
  throw new ChainError('genesis-invalid', 'no timestamp')
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
