/**
 * Parses a raw transaction as strictly as a block would: what passes here can be executed, provided nonce, balance
 * and fee fit the state. Everything that can be refused without the state is refused here, before it can reach the
 * journal.
 */

import type { TransactionSerializable } from 'viem'
import {
  hexToBigInt,
  keccak256,
  parseTransaction,
  recoverAddress,
  serializeTransaction,
} from 'viem/utils'
import { baseSepoliaChainId } from '../addresses.ts'
import { ChainError } from './errors.ts'

/** A transaction whose signature was checked. Money in wei. */
export type SignedTransaction = {
  readonly raw: `0x${string}`
  readonly hash: `0x${string}`
  readonly sender: `0x${string}`
  readonly nonce: number
  readonly gas: bigint
  readonly maxFeePerGasWei: bigint
  /** The most the transaction can take from its sender: value + gas × highest fee. */
  readonly maxCostWei: bigint
}

/** Highest gas of one transaction (EIP-7825). */
export const transactionGasLimit = 16_777_216n

const MAX_RAW_BYTES = 131_072
const MAX_INIT_CODE_BYTES = 49_152
const MAX_NONCE = 2 ** 40
const MAX_S = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n
const MAX_WEI = (1n << 128n) - 1n

type RecoverableSignature = {
  readonly r: `0x${string}`
  readonly s: `0x${string}`
  readonly v: bigint
  readonly yParity: number
}

type Parsed = ReturnType<typeof parseTransaction>

/**
 * Parses `raw`, checks its chain id and signature (low s) and recovers the sender. Accepts legacy transactions with
 * a chain id, EIP-2930 and EIP-1559; refuses blobs and delegations.
 *
 * @throws ChainError `transaction-invalid`; no other error.
 */
export async function parseSignedTransaction(raw: unknown): Promise<SignedTransaction> {
  if (typeof raw !== 'string' || raw.length > 2 + 2 * MAX_RAW_BYTES) throw invalid('size')
  if (!isLowerHex(raw)) throw invalid('expected 0x and an even number of hex digits')
  const transaction = parse(raw)
  if (transaction.chainId !== baseSepoliaChainId) throw invalid('chain id')
  const unsigned = toUnsigned(transaction)
  const { r, s } = transaction
  const yParity = transaction.yParity ?? legacyParity(transaction.v)
  if (r === undefined || s === undefined || yParity === undefined) throw invalid('signature')
  if (hexToBigInt(s) > MAX_S) throw invalid('signature: s is too high')
  const signature = { r, s, yParity, v: BigInt(27 + yParity) }
  // One transaction, one encoding: otherwise the hash we answer could differ from the one anvil knows.
  if (serialize(unsigned, signature) !== raw) throw invalid('encoding')
  const sender = await recover(keccak256(serialize(unsigned, undefined)), signature)
  return { raw, hash: keccak256(raw), sender: lower(sender), ...readLimits(transaction) }
}

function toUnsigned(transaction: Parsed): TransactionSerializable {
  const { type, accessList = [] } = transaction
  const gasPrice = transaction.gasPrice ?? 0n
  const common = readCommon(transaction)
  if (type === 'legacy') return { type, ...common, gasPrice }
  if (type === 'eip2930') return { type, ...common, gasPrice, accessList }
  if (type !== 'eip1559') throw invalid('type')
  const { maxFeePerGas = 0n, maxPriorityFeePerGas = 0n } = transaction
  return { type, ...common, maxFeePerGas, maxPriorityFeePerGas, accessList }
}

/** A missing field is an empty one on the wire: zero, no data, or (without `to`) a contract creation. */
function readCommon(transaction: Parsed): {
  chainId: number
  nonce: number
  gas: bigint
  to: `0x${string}` | null
  value: bigint
  data: `0x${string}`
} {
  const { nonce = 0, gas = 0n, to = null, value = 0n, data = '0x' } = transaction
  return { chainId: baseSepoliaChainId, nonce, gas, to, value, data }
}

function readLimits(
  transaction: Parsed,
): Pick<SignedTransaction, 'nonce' | 'gas' | 'maxFeePerGasWei' | 'maxCostWei'> {
  const nonce = transaction.nonce ?? 0
  const gas = transaction.gas ?? 0n
  const value = transaction.value ?? 0n
  const maxFeePerGasWei = transaction.maxFeePerGas ?? transaction.gasPrice ?? 0n
  const tip = transaction.maxPriorityFeePerGas ?? 0n
  if (!Number.isSafeInteger(nonce) || nonce > MAX_NONCE) throw invalid('nonce')
  if (gas > transactionGasLimit) throw invalid(`gas above ${transactionGasLimit}`)
  if (gas < intrinsicGas(transaction)) throw invalid('gas below the intrinsic cost')
  if (value > MAX_WEI || maxFeePerGasWei > MAX_WEI) throw invalid('amount')
  if (tip > maxFeePerGasWei) throw invalid('priority fee above the maximum fee')
  return { nonce, gas, maxFeePerGasWei, maxCostWei: value + gas * maxFeePerGasWei }
}

/** What a transaction costs before its first instruction (EIP-2028, 2930, 3860 and the floor of EIP-7623). */
function intrinsicGas(transaction: Parsed): bigint {
  const data = transaction.data ?? '0x'
  const sizeBytes = (data.length - 2) / 2
  let tokens = 0
  for (let index = 2; index < data.length; index += 2) {
    tokens += data.startsWith('00', index) ? 1 : 4
  }
  let creation = 0
  if (transaction.to === undefined || transaction.to === null) {
    if (sizeBytes > MAX_INIT_CODE_BYTES) throw invalid('init code too long')
    creation = 32_000 + 2 * Math.ceil(sizeBytes / 32)
  }
  let access = 0
  for (const { storageKeys } of transaction.accessList ?? []) {
    access += 2400 + 1900 * storageKeys.length
  }
  return BigInt(Math.max(21_000 + 4 * tokens + creation + access, 21_000 + 10 * tokens))
}

function parse(raw: `0x${string}`): Parsed {
  try {
    return parseTransaction(raw)
  } catch (cause) {
    throw invalid('not a transaction', cause)
  }
}

function serialize(
  transaction: TransactionSerializable,
  signature: RecoverableSignature | undefined,
): `0x${string}` {
  try {
    return serializeTransaction(transaction, signature)
  } catch (cause) {
    throw invalid('not a transaction', cause)
  }
}

async function recover(
  hash: `0x${string}`,
  signature: RecoverableSignature,
): Promise<`0x${string}`> {
  try {
    return await recoverAddress({ hash, signature })
  } catch (cause) {
    throw invalid('signature', cause)
  }
}

/** EIP-155: v = 35 + 2 × chain id + parity. */
function legacyParity(v: bigint | undefined): number | undefined {
  if (v === undefined) return undefined
  const parity = v - 35n - 2n * BigInt(baseSepoliaChainId)
  return parity === 0n || parity === 1n ? Number(parity) : undefined
}

function isLowerHex(text: string): text is `0x${string}` {
  return /^0x(?:[0-9a-f]{2})+$/.test(text)
}

function lower(address: `0x${string}`): `0x${string}` {
  return `0x${address.slice(2).toLowerCase()}`
}

function invalid(detail: string, cause?: unknown): ChainError {
  return new ChainError('transaction-invalid', detail, cause === undefined ? {} : { cause })
}
