import { hexToBigInt, numberToHex, parseSignature } from 'viem'
import type { Hex } from 'viem'
import { expect, test, vi } from 'vitest'
import { testUsdcRuntimeCode } from '../src/generated/test-usdc.ts'
import { needsAnvil, payee, payer, sender, senderKey } from './local-chain.ts'
import {
  argumentsOf,
  authorization,
  domain,
  openToken,
  outcomeOf,
  payerAccount,
  signAuthorization,
  token,
} from './usdc.ts'

/** The golden EIP-3009 payment of the x402 facts: a stock client signed it, a stock facilitator settled it. */
const goldenSignature =
  '0x8a4092039ef3f99c533ceb4d4e727d7a10dc34baff03777ab4c55e4aacd657e46eb30fe668416bcbba7affab2a5157357dc7bacf56069292b2db3f511d09934a1c'
const goldenReceiveSignature =
  '0x4d9e294c55423e54d6e0a5f94c93afd0d8d1f0dd7ba88c764dd7d93244f548484625a6d4f4c9bc1e4dd406cb43bb8170773ff45d96aaae253c28da62bfabf0aa1b'
const nonce: Hex = `0x${'11'.repeat(32)}`
const golden = [payer, payee, 10_000n, 0n, 1_800_000_000n, nonce] as const

const curveOrder = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

test('describes itself as the USDC that x402 clients sign for', needsAnvil, async () => {
  const { reader, balanceOf } = await openToken()
  const read = (functionName: 'name' | 'symbol' | 'version' | 'decimals' | 'DOMAIN_SEPARATOR') =>
    reader.readContract({ ...token, functionName })
  expect(await read('DOMAIN_SEPARATOR')).toBe(
    '0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818',
  )
  expect(await read('name')).toBe('USDC')
  expect(await read('symbol')).toBe('USDC')
  expect(await read('version')).toBe('2')
  expect(await read('decimals')).toBe(6)
  expect(await reader.getCode({ address: token.address })).toBe(testUsdcRuntimeCode)
  expect(await balanceOf(payer)).toBe(5_000_000n)
  expect(await reader.readContract({ ...token, functionName: 'totalSupply' })).toBe(5_070_000n)
})

test('settles the golden payment once, and never twice', needsAnvil, async () => {
  const { reader, wallet, settled, balanceOf } = await openToken()
  const send = wallet(senderKey)
  const call = { ...token, functionName: 'transferWithAuthorization' } as const
  const receipt = await settled(send.writeContract({ ...call, args: [...golden, goldenSignature] }))
  expect(receipt.status).toBe('success')
  const events = await reader.getContractEvents({ ...token, fromBlock: 0n })
  expect(events.map(({ eventName, args }) => ({ eventName, args }))).toEqual([
    { eventName: 'AuthorizationUsed', args: { authorizer: payer, nonce } },
    { eventName: 'Transfer', args: { from: payer, to: payee, value: 10_000n } },
  ])
  expect(await balanceOf(payee)).toBe(10_000n)
  expect(await balanceOf(payer)).toBe(4_990_000n)
  const state = { ...token, functionName: 'authorizationState', args: [payer, nonce] } as const
  expect(await reader.readContract(state)).toBe(true)
  const again = send.writeContract({ ...call, args: [...golden, goldenSignature] })
  await expect(again).rejects.toThrow('AuthorizationAlreadyUsed')
  // Also when nobody simulates it first: the second transaction reverts on the chain.
  const forced = send.writeContract({ ...call, args: [...golden, goldenSignature], gas: 200_000n })
  expect((await settled(forced)).status).toBe('reverted')
  expect(await balanceOf(payee)).toBe(10_000n)
})

test('settles the golden payment in the v, r, s form as well', needsAnvil, async () => {
  const { wallet, settled, balanceOf } = await openToken()
  const { r, s } = parseSignature(goldenSignature)
  const receipt = await settled(
    wallet(senderKey).writeContract({
      ...token,
      functionName: 'transferWithAuthorization',
      args: [...golden, 28, r, s],
    }),
  )
  expect(receipt.status).toBe('success')
  expect(await balanceOf(payee)).toBe(10_000n)
})

test('refuses every signature that is not the canonical one of the payer', needsAnvil, async () => {
  const { reader } = await openToken()
  const { r, s } = parseSignature(goldenSignature)
  const twin = numberToHex(curveOrder - hexToBigInt(s), { size: 32 })
  const body = goldenSignature.slice(0, -2)
  const refused: [string, Hex][] = [
    ['high s', `0x${r.slice(2)}${twin.slice(2)}1b`],
    ['v of 0', `0x${body.slice(2)}00`],
    ['v of 1', `0x${body.slice(2)}01`],
    ['the other v', `0x${body.slice(2)}1b`],
    ['v of 29', `0x${body.slice(2)}1d`],
    ['64 bytes', `0x${body.slice(2)}`],
    ['66 bytes', `${goldenSignature}00`],
    ['nothing', '0x'],
    ['zero r', `0x${'00'.repeat(32)}${s.slice(2)}1c`],
    ['zero', `0x${'00'.repeat(65)}`],
    ['a receive signature', goldenReceiveSignature],
  ]
  for (const [what, signature] of refused) {
    const call = reader.simulateContract({
      ...token,
      functionName: 'transferWithAuthorization',
      args: [...golden, signature],
    })
    await expect(call, what).rejects.toThrow('InvalidSignature')
  }
  const split = reader.simulateContract({
    ...token,
    functionName: 'transferWithAuthorization',
    args: [...golden, 27, r, twin],
  })
  await expect(split).rejects.toThrow('InvalidSignature')
})

test('refuses the golden payment with any field changed', needsAnvil, async () => {
  const { reader } = await openToken()
  const changed = [
    [sender, payee, 10_000n, 0n, 1_800_000_000n, nonce],
    [payer, sender, 10_000n, 0n, 1_800_000_000n, nonce],
    [payer, payee, 10_001n, 0n, 1_800_000_000n, nonce],
    [payer, payee, 10_000n, 1n, 1_800_000_000n, nonce],
    [payer, payee, 10_000n, 0n, 1_800_000_001n, nonce],
    [payer, payee, 10_000n, 0n, 1_800_000_000n, `0x${'11'.repeat(31)}12`],
    ['0x0000000000000000000000000000000000000000', payee, 0n, 0n, 1_800_000_000n, nonce],
  ] as const
  for (const fields of changed) {
    const call = reader.simulateContract({
      ...token,
      functionName: 'transferWithAuthorization',
      args: [...fields, goldenSignature],
    })
    await expect(call, String(fields)).rejects.toThrow('InvalidSignature')
  }
})

test('keeps to the time window, both ends excluded', needsAnvil, async () => {
  const { reader } = await openToken()
  // The chain mines one block when it comes up and then has no reason to mine another.
  const block = await vi.waitUntil(
    async () => {
      const newest = await reader.getBlock()
      return newest.number > 0n ? newest : undefined
    },
    { timeout: 60_000, interval: 10 },
  )
  const cases = [
    {
      validAfter: block.timestamp,
      validBefore: block.timestamp + 1n,
      outcome: 'AuthorizationNotYetValid',
    },
    { validAfter: 0n, validBefore: block.timestamp, outcome: 'AuthorizationExpired' },
    { validAfter: block.timestamp - 1n, validBefore: block.timestamp + 1n, outcome: 'accepted' },
  ]
  for (const { outcome, ...window } of cases) {
    const message = authorization(window)
    const signature = await signAuthorization('TransferWithAuthorization', message)
    const call = reader.simulateContract({
      ...token,
      functionName: 'transferWithAuthorization',
      args: [...argumentsOf(message), signature],
    })
    expect(await outcomeOf(call)).toBe(outcome)
  }
})

test('lets only the payee send a receive authorization', needsAnvil, async () => {
  const { reader, wallet, settled, balanceOf } = await openToken()
  const message = authorization({ to: payee, value: 500_000n })
  const signature = await signAuthorization('ReceiveWithAuthorization', message)
  const call = {
    ...token,
    functionName: 'receiveWithAuthorization',
    args: [...argumentsOf(message), signature],
  } as const
  const front = reader.simulateContract({ ...call, account: sender })
  await expect(front).rejects.toThrow('CallerMustBePayee')
  const asTransfer = reader.simulateContract({
    ...call,
    functionName: 'transferWithAuthorization',
    account: payee,
  })
  await expect(asTransfer).rejects.toThrow('InvalidSignature')
  const payeeKey = '0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a'
  const receipt = await settled(wallet(payeeKey).writeContract(call))
  expect(receipt.status).toBe('success')
  expect(await balanceOf(payee)).toBe(500_000n)
})

test('refuses an authorization that its signer cancelled', needsAnvil, async () => {
  const { reader, wallet, settled } = await openToken()
  const message = authorization({})
  const cancellation = await payerAccount.signTypedData({
    domain,
    types: {
      CancelAuthorization: [
        { name: 'authorizer', type: 'address' },
        { name: 'nonce', type: 'bytes32' },
      ],
    },
    primaryType: 'CancelAuthorization',
    message: { authorizer: payer, nonce: message.nonce },
  })
  const cancel = wallet(senderKey).writeContract({
    ...token,
    functionName: 'cancelAuthorization',
    args: [payer, message.nonce, cancellation],
  })
  expect((await settled(cancel)).status).toBe('success')
  const signature = await signAuthorization('TransferWithAuthorization', message)
  const call = reader.simulateContract({
    ...token,
    functionName: 'transferWithAuthorization',
    args: [...argumentsOf(message), signature],
  })
  await expect(call).rejects.toThrow('AuthorizationAlreadyUsed')
})

test('refuses a payment beyond the balance and keeps its nonce unused', needsAnvil, async () => {
  const { reader, wallet, settled, balanceOf } = await openToken()
  const message = authorization({ value: 5_000_001n })
  const signature = await signAuthorization('TransferWithAuthorization', message)
  const call = {
    ...token,
    functionName: 'transferWithAuthorization',
    args: [...argumentsOf(message), signature],
  } as const
  await expect(reader.simulateContract(call)).rejects.toThrow('BalanceTooLow')
  const receipt = await settled(wallet(senderKey).writeContract({ ...call, gas: 200_000n }))
  expect(receipt.status).toBe('reverted')
  expect(await balanceOf(payer)).toBe(5_000_000n)
  const args = [payer, message.nonce] as const
  expect(await reader.readContract({ ...token, functionName: 'authorizationState', args })).toBe(
    false,
  )
})
