import { getAddress, numberToHex, parseSignature } from 'viem'
import type { Hex } from 'viem'
import { expect, test } from 'vitest'
import { needsAnvil, payee, payer, sender, senderKey } from './local-chain.ts'
import {
  argumentsOf,
  authorization,
  domain,
  openToken,
  outcomeOf,
  payerAccount,
  token,
} from './usdc.ts'

test('sets an allowance by permit once, which transferFrom then uses up', needsAnvil, async () => {
  const { reader, wallet, settled, balanceOf } = await openToken()
  const deadline = 1_800_000_000n
  const signature = await payerAccount.signTypedData({
    domain,
    types: {
      Permit: [
        { name: 'owner', type: 'address' },
        { name: 'spender', type: 'address' },
        { name: 'value', type: 'uint256' },
        { name: 'nonce', type: 'uint256' },
        { name: 'deadline', type: 'uint256' },
      ],
    },
    primaryType: 'Permit',
    message: { owner: payer, spender: sender, value: 30n, nonce: 0n, deadline },
  })
  const { r, s, v } = parseSignature(signature)
  const permit = {
    ...token,
    functionName: 'permit',
    args: [payer, sender, 30n, deadline, Number(v), r, s],
  } as const
  const send = wallet(senderKey)
  expect((await settled(send.writeContract(permit))).status).toBe('success')
  await expect(reader.simulateContract(permit)).rejects.toThrow('InvalidSignature')
  const late = { ...permit, args: [payer, sender, 30n, 1n, Number(v), r, s] } as const
  await expect(reader.simulateContract(late)).rejects.toThrow('PermitExpired')
  const tooMuch = reader.simulateContract({ ...take(31n), account: sender })
  await expect(tooMuch).rejects.toThrow('AllowanceTooLow')
  expect((await settled(send.writeContract(take(30n)))).status).toBe('success')
  expect(await balanceOf(payee)).toBe(30n)
  const args = [payer, sender] as const
  expect(await reader.readContract({ ...token, functionName: 'allowance', args })).toBe(0n)
  expect(await reader.readContract({ ...token, functionName: 'nonces', args: [payer] })).toBe(1n)
})

test('moves and mints tokens as ERC-20 does', needsAnvil, async () => {
  const { reader, wallet, settled, balanceOf } = await openToken()
  const send = wallet(senderKey)
  await settled(send.writeContract({ ...token, functionName: 'transfer', args: [payee, 70_000n] }))
  await settled(send.writeContract({ ...token, functionName: 'mint', args: [sender, 5n] }))
  await settled(send.writeContract({ ...token, functionName: 'transfer', args: [sender, 5n] }))
  expect(await balanceOf(payee)).toBe(70_000n)
  expect(await balanceOf(sender)).toBe(5n)
  expect(await reader.readContract({ ...token, functionName: 'totalSupply' })).toBe(5_070_005n)
  const tooMuch = {
    ...token,
    functionName: 'transfer',
    args: [payee, 6n],
    account: sender,
  } as const
  await expect(reader.simulateContract(tooMuch)).rejects.toThrow('BalanceTooLow')
  const burn = { ...tooMuch, args: [getAddress(`0x${'0'.repeat(40)}`), 1n] } as const
  await expect(reader.simulateContract(burn)).rejects.toThrow('ZeroAddress')
  const most = 2n ** 256n - 1n
  const overflow = { ...token, functionName: 'mint', args: [payee, most] } as const
  await expect(reader.simulateContract(overflow)).rejects.toThrow('overflow')
})

test('asks a contract payer by EIP-1271 and takes only the exact answer', needsAnvil, async () => {
  const { reader, wallet, settled, balanceOf } = await openToken()
  const send = wallet(senderKey)
  const magic = `1626ba7e${'00'.repeat(28)}`
  const wallets: [string, string, string][] = [
    ['the magic value', answering(magic), 'accepted'],
    [
      'the magic value with dirt behind it',
      answering(`1626ba7e${'00'.repeat(27)}01`),
      'InvalidSignature',
    ],
    ['one', answering(`${'00'.repeat(31)}01`), 'InvalidSignature'],
    ['four bytes only', '631626ba7e5f5260046000601c013560e01c5f5260046000f3', 'InvalidSignature'],
    ['nothing', '5f5ff3', 'InvalidSignature'],
    ['a revert', '5f5ffd', 'InvalidSignature'],
  ]
  for (const [what, runtime, outcome] of wallets) {
    const receipt = await settled(send.sendTransaction({ data: deploying(runtime) }))
    const from = getAddress(receipt.contractAddress ?? '')
    await settled(send.writeContract({ ...token, functionName: 'mint', args: [from, 9n] }))
    const message = authorization({ from, to: payee, value: 9n })
    const call = {
      ...token,
      functionName: 'transferWithAuthorization',
      args: [...argumentsOf(message), '0x1234'],
    } as const
    expect(await outcomeOf(reader.simulateContract(call)), what).toBe(outcome)
    await settled(send.writeContract({ ...call, gas: 200_000n }))
    expect(await balanceOf(from), what).toBe(outcome === 'accepted' ? 0n : 9n)
  }
})

/** Run-time code that answers every call with one word. */
function answering(word: string): string {
  return `7f${word}5f5260205ff3`
}

/** Creation code for a run-time code of up to 255 bytes. */
function deploying(runtime: string): Hex {
  const size = numberToHex(runtime.length / 2, { size: 1 }).slice(2)
  return `0x60${size}600a5f3960${size}5ff3${runtime}`
}

function take(value: bigint) {
  return { ...token, functionName: 'transferFrom', args: [payer, payee, value] } as const
}
