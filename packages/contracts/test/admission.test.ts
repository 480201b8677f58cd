import { expect, test } from 'vitest'
import { admit } from '../src/chain/admission.ts'
import { blockGasLimit } from '../src/chain/genesis.ts'
import { PendingPool } from '../src/chain/pending-pool.ts'
import type { SignedTransaction } from '../src/chain/signed-transaction.ts'

const transaction: SignedTransaction = {
  raw: '0x02',
  hash: '0x01',
  sender: '0xaa',
  nonce: 5,
  gas: 21_000n,
  maxFeePerGasWei: 10n,
  maxCostWei: 210_000n,
}

function poolOf(...transactions: SignedTransaction[]): PendingPool {
  const pool = new PendingPool()
  for (const pending of transactions) pool.add(pending)
  return pool
}

test('admits exactly the next nonce, counting what is pending', () => {
  const account = { nonce: 5, balanceWei: 10n ** 18n }
  expect(admit(transaction, account, poolOf(), 10n)).toBe('next')
  const pool = poolOf(transaction)
  expect(admit(transaction, account, pool, 10n)).toBe('past')
  expect(admit({ ...transaction, hash: '0x02', nonce: 6 }, account, pool, 10n)).toBe('next')
  const gap = { ...transaction, hash: '0x03', nonce: 7 } as const
  expect(() => admit(gap, account, pool, 10n)).toThrow('nonce too high: next is 6')
  const other = { ...transaction, hash: '0x04', sender: '0xbb', nonce: 6 } as const
  expect(() => admit(other, account, pool, 10n)).toThrow('nonce too high: next is 5')
})

test('admits only what the balance pays on top of everything pending', () => {
  const exact = { nonce: 5, balanceWei: 210_000n }
  expect(admit(transaction, exact, poolOf(), 10n)).toBe('next')
  const short = { nonce: 5, balanceWei: 209_999n }
  expect(() => admit(transaction, short, poolOf(), 10n)).toThrow('insufficient funds')
  const second = { ...transaction, hash: '0x02', nonce: 6 } as const
  const account = { nonce: 5, balanceWei: 420_000n }
  expect(admit(second, account, poolOf(transaction), 10n)).toBe('next')
  const almost = { nonce: 5, balanceWei: 419_999n }
  expect(() => admit(second, almost, poolOf(transaction), 10n)).toThrow('insufficient funds')
})

test('refuses a fee below the next base fee', () => {
  const account = { nonce: 5, balanceWei: 10n ** 18n }
  expect(() => admit(transaction, account, poolOf(), 11n)).toThrow('block base fee 11')
})

test('never admits more gas than one block holds', () => {
  const account = { nonce: 5, balanceWei: 10n ** 18n }
  const full = {
    ...transaction,
    hash: '0x02',
    sender: '0xbb',
    gas: blockGasLimit - 21_000n,
  } as const
  expect(admit(transaction, account, poolOf(full), 10n)).toBe('next')
  const fuller = { ...full, gas: full.gas + 1n }
  expect(() => admit(transaction, account, poolOf(fuller), 10n)).toThrow('chain-busy')
})
