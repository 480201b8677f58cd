import {
  hexToBigInt,
  hexToBytes,
  keccak256,
  numberToHex,
  parseTransaction,
  serializeTransaction,
} from 'viem'
import type { Hex, TransactionSerializable } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { parseSignedTransaction } from '../src/chain/signed-transaction.ts'
import { payee, sender, senderKey } from './local-chain.ts'

const account = privateKeyToAccount(senderKey)
const curveOrder = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

const common = { chainId: 84_532, nonce: 3, gas: 60_000n, to: payee, value: 5n } as const
const eip1559 = {
  ...common,
  type: 'eip1559',
  maxFeePerGas: 10n,
  maxPriorityFeePerGas: 1n,
  data: '0x00ff',
} as const

test('reads sender, hash, nonce and highest cost of each accepted type', async () => {
  const accessList = [{ address: payee, storageKeys: [`0x${'01'.repeat(32)}`] }] as const
  const transactions: TransactionSerializable[] = [
    eip1559,
    { ...eip1559, accessList },
    { ...common, type: 'legacy', gasPrice: 10n },
    { ...common, type: 'eip2930', gasPrice: 10n, accessList },
  ]
  for (const transaction of transactions) {
    const raw = await account.signTransaction(transaction)
    expect(await parseSignedTransaction(raw), raw).toEqual({
      raw,
      hash: keccak256(raw),
      sender: sender.toLowerCase(),
      nonce: 3,
      gas: 60_000n,
      maxFeePerGasWei: 10n,
      maxCostWei: 600_005n,
    })
  }
})

test('accepts every signature viem makes, short r and s included', async () => {
  const lengths = new Set<number>()
  for (let value = 256n; value < 856n; value += 1n) {
    const raw = await account.signTransaction({ ...eip1559, value })
    lengths.add(raw.length)
    const parsed = await parseSignedTransaction(raw)
    expect(parsed.sender).toBe(sender.toLowerCase())
  }
  // Signatures are deterministic: some of these begin with a zero byte, which the encoding leaves out.
  expect(lengths.size).toBeGreaterThan(1)
})

test('refuses the malleable twin of a signature', async () => {
  const raw = await account.signTransaction(eip1559)
  const { r = '0x', s = '0x', yParity = 0 } = parseTransaction(raw)
  const twin = serializeTransaction(eip1559, {
    r,
    s: numberToHex(curveOrder - hexToBigInt(s), { size: 32 }),
    yParity: 1 - yParity,
  })
  await expect(parseSignedTransaction(twin)).rejects.toThrow('s is too high')
})

test('refuses what is no transaction of this chain, always with the same code', async () => {
  const raw = await account.signTransaction(eip1559)
  const tooLong: Hex = `0x02${'00'.repeat(131_072)}`
  const refused: unknown[] = [
    undefined,
    null,
    7,
    {},
    '',
    '0x',
    '0x0',
    raw.slice(2),
    raw.toUpperCase(),
    `${raw}00`,
    raw.slice(0, -2),
    `0x04${raw.slice(4)}`,
    tooLong,
    `0x${'f8'.repeat(1000)}`,
    serializeTransaction(eip1559),
    await account.signTransaction({ ...eip1559, chainId: 1 }),
    await account.signTransaction({ type: 'legacy', gasPrice: 10n, gas: 60_000n, to: payee }),
  ]
  for (const input of refused) {
    const what = String(input).slice(0, 80)
    await expect(parseSignedTransaction(input), what).rejects.toMatchObject({
      name: 'ChainError',
      code: 'transaction-invalid',
    })
  }
})

test('refuses what no block could hold', async () => {
  const creation = { chainId: 84_532, type: 'eip1559', maxFeePerGas: 10n } as const
  const refused: [string, TransactionSerializable][] = [
    ['gas above 16777216', { ...eip1559, gas: 16_777_217n }],
    ['gas below the intrinsic cost', { ...eip1559, gas: 20_999n }],
    ['gas below the intrinsic cost', { ...eip1559, data: `0x${'ff'.repeat(1000)}` }],
    ['gas below the intrinsic cost', { ...creation, data: '0x5f', gas: 53_000n }],
    ['init code too long', { ...creation, data: `0x${'00'.repeat(49_153)}`, gas: 16_777_216n }],
    ['amount', { ...eip1559, value: 2n ** 128n }],
    ['nonce', { ...eip1559, nonce: 2 ** 41 }],
  ]
  for (const [message, transaction] of refused) {
    const raw = await account.signTransaction(transaction)
    await expect(parseSignedTransaction(raw), message).rejects.toThrow(message)
  }
  // viem would not sign a tip above the fee; the wire carries it all the same.
  const raw = await account.signTransaction(eip1559)
  const swapped = `0x${raw.slice(2).replace('03010a', '030a01')}`
  expect(swapped).not.toBe(raw)
  await expect(parseSignedTransaction(swapped)).rejects.toThrow('transaction-invalid')
})

test('refuses delegations and blobs', async () => {
  const authorization = await account.signAuthorization({
    chainId: 84_532,
    contractAddress: payee,
    nonce: 4,
  })
  const raw = await account.signTransaction({
    ...eip1559,
    type: 'eip7702',
    authorizationList: [authorization],
  })
  await expect(parseSignedTransaction(raw)).rejects.toThrow('transaction-invalid: type')
  await expect(parseSignedTransaction(`0x03${raw.slice(4)}`)).rejects.toThrow('transaction-invalid')
})

test('with one byte changed is refused or belongs to another sender', async () => {
  const raw = await account.signTransaction(eip1559)
  const bytes = hexToBytes(raw)
  let refused = 0
  for (let index = 0; index < bytes.length; index += 1) {
    const changed = bytes.with(index, (bytes[index] ?? 0) ^ 1)
    const outcome = await parseSignedTransaction(`0x${Buffer.from(changed).toString('hex')}`).then(
      (parsed) => parsed.sender,
      (error: { code: string }) => error.code,
    )
    expect(outcome, `byte ${index}`).not.toBe(sender.toLowerCase())
    if (outcome === 'transaction-invalid') refused += 1
  }
  expect(refused).toBeGreaterThan(10)
})
