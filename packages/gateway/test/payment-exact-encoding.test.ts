import { authorizationTypes, eip3009ABI } from '@x402/evm'
import { encodeFunctionData, keccak256, parseTransaction, toHex, type Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { loadEvmCurve } from '../src/payment/evm-curve.ts'
import { createAuthorizationCheck } from '../src/payment/exact/authorization-signature.ts'
import { createSettlementAccount } from '../src/payment/exact/sender.ts'
import { encodeTransfer } from '../src/payment/exact/settle-once.ts'

const curve = await loadEvmCurve()
const terms = {
  asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
  assetName: 'USDC',
  assetVersion: '2',
  chainId: 84_532,
} as const
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const keyOf = (index: number): Hex => keccak256(toHex(`key ${index}`))

async function sign(index: number): Promise<{
  readonly authorization: Parameters<ReturnType<typeof createAuthorizationCheck>>[0]
  readonly signature: Hex
}> {
  const account = privateKeyToAccount(keyOf(index))
  const authorization = {
    from: account.address,
    to: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC',
    valueAtomic: BigInt(keccak256(toHex(`value ${index}`))) >> BigInt(index * 8),
    validAfterSeconds: BigInt(index),
    validBeforeSeconds: 1_800_000_000n + BigInt(index),
    nonce: keccak256(toHex(`nonce ${index}`)),
  } as const
  const signature = await account.signTypedData({
    domain: {
      name: terms.assetName,
      version: terms.assetVersion,
      chainId: terms.chainId,
      verifyingContract: terms.asset,
    },
    types: authorizationTypes,
    primaryType: 'TransferWithAuthorization',
    message: {
      from: authorization.from,
      to: authorization.to,
      value: authorization.valueAtomic,
      validAfter: authorization.validAfterSeconds,
      validBefore: authorization.validBeforeSeconds,
      nonce: authorization.nonce,
    },
  })
  return { authorization, signature }
}

test('an authorization that another implementation signed is accepted, and none with anything changed', async () => {
  const check = createAuthorizationCheck(terms, curve)
  for (let index = 0; index < 8; index++) {
    const { authorization, signature } = await sign(index)
    expect(check(authorization, signature)).toBe(true)
    const other = privateKeyToAccount(keyOf(index + 100)).address
    for (const change of [
      { from: other },
      { to: other },
      { valueAtomic: authorization.valueAtomic ^ 1n },
      { validAfterSeconds: authorization.validAfterSeconds + 1n },
      { validBeforeSeconds: authorization.validBeforeSeconds + 1n },
      { nonce: keccak256(authorization.nonce) },
    ]) {
      expect(check({ ...authorization, ...change }, signature), Object.keys(change)[0]).toBe(false)
    }
    for (const domain of [{ chainId: 1 }, { assetName: 'USD Coin' }, { assetVersion: '1' }]) {
      const elsewhere = createAuthorizationCheck({ ...terms, ...domain }, curve)
      expect(elsewhere(authorization, signature), Object.keys(domain)[0]).toBe(false)
    }
  }
})

test('forms of a signature that the token refuses are refused', async () => {
  const check = createAuthorizationCheck(terms, curve)
  const { authorization, signature } = await sign(1)
  const body = signature.slice(2, 130)
  const v = signature.slice(130)
  const high = order - BigInt(`0x${body.slice(64)}`)
  const flipped = v === '1b' ? '1c' : '1b'
  const malleable = `${body.slice(0, 64)}${high.toString(16).padStart(64, '0')}${flipped}`
  for (const hex of [
    malleable,
    `${body}${flipped}`,
    `${body}${v === '1b' ? '00' : '01'}`,
    `${'0'.repeat(64)}${body.slice(64)}${v}`,
    `${body.slice(0, 64)}${'0'.repeat(64)}${v}`,
    `${order.toString(16)}${body.slice(64)}${v}`,
    body,
  ]) {
    expect(check(authorization, `0x${hex}`), hex).toBe(false)
  }
})

test('a settlement has the bytes that another encoder makes', async () => {
  for (let index = 0; index < 8; index++) {
    const { authorization, signature } = await sign(index)
    const { from, to, valueAtomic, validAfterSeconds, validBeforeSeconds, nonce } = authorization
    const theirs = encodeFunctionData({
      abi: eip3009ABI,
      functionName: 'transferWithAuthorization',
      args: [
        from,
        to,
        valueAtomic,
        validAfterSeconds,
        validBeforeSeconds,
        nonce,
        Number(`0x${signature.slice(130)}`),
        `0x${signature.slice(2, 66)}`,
        `0x${signature.slice(66, 130)}`,
      ],
    })
    expect(encodeTransfer({ authorization, signature })).toBe(theirs)
  }
})

test('a transaction that the native library signed is the one that viem signs', async () => {
  const key = keyOf(5)
  const account = createSettlementAccount(key, curve)
  expect(account.address).toBe(privateKeyToAccount(key).address)
  for (const nonce of [0, 1, 200, 70_000]) {
    const transaction = {
      type: 'eip1559',
      chainId: 84_532,
      to: terms.asset,
      data: '0xe3ee160e',
      gas: 160_000n,
      nonce,
      maxFeePerGas: 5n,
      maxPriorityFeePerGas: 1n,
    } as const
    const raw = await account.signTransaction(transaction)
    expect(raw).toBe(await privateKeyToAccount(key).signTransaction(transaction))
    expect(parseTransaction(raw).nonce ?? 0).toBe(nonce)
  }
})
