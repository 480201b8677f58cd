/** Keys that wait in a timelock, on a real chain. */
import { encodeFunctionData, keccak256, stringToHex, type Hex } from 'viem'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { expect, test } from 'vitest'
import { keyRegistryAbi } from '../src/generated/key-registry.ts'
import { registryTimelockAbi } from '../src/generated/registry-timelock.ts'
import { planKeyRegistration, type KeyRegistration } from '../src/register-key.ts'
import { readScheduledKeys } from '../src/scheduled-keys.ts'
import { needsAnvil, sender } from './local-chain.ts'
import { gatewayId, openOperatorChain } from './operator-chain.ts'

const none: Hex = `0x${'0'.repeat(64)}`
const abi = registryTimelockAbi

function register(registration: KeyRegistration): Hex {
  const { key, validFromSeconds, validUntilSeconds, keysetDigest } = registration
  const args = [gatewayId, key, validFromSeconds, validUntilSeconds, keysetDigest] as const
  return encodeFunctionData({ abi: keyRegistryAbi, functionName: 'registerKey', args })
}

test(
  'what was announced as a key of this gateway, and nothing else, waits until it is executed',
  needsAnvil,
  async () => {
    const { reader, wallet, mined, addresses } = await openOperatorChain()
    const { registry, timelock } = addresses
    const where = { registry, timelock, gatewayId, fromBlock: 0n }
    const until = Math.floor(Date.now() / 1000) + 80_000
    const plan = (gateway: Hex = gatewayId) => {
      const registration: KeyRegistration = {
        gatewayId: gateway,
        key: privateKeyToAddress(generatePrivateKey()),
        validFromSeconds: until - 86_400,
        validUntilSeconds: until,
        keysetDigest: keccak256('0x01'),
      }
      return { registration, ...planKeyRegistration({ timelock, registry }, 2, registration) }
    }
    const [first, second] = [plan(), plan()]
    const foreign = plan(keccak256(stringToHex('another gateway')))
    for (const { announce } of [first, foreign, second]) {
      await mined(wallet.sendTransaction(announce))
    }
    // A call that is no registration, and a registration with a salt: `planKeyRegistration` makes neither.
    const schedule = (data: Hex, salt: Hex): Hex =>
      encodeFunctionData({
        abi,
        functionName: 'schedule',
        args: [registry, 0n, data, none, salt, 2n],
      })
    const salted = keccak256('0x02')
    await mined(wallet.sendTransaction({ to: timelock, data: schedule('0x12345678', none) }))
    await mined(
      wallet.sendTransaction({
        to: timelock,
        data: schedule(register(second.registration), salted),
      }),
    )
    const waiting = await readScheduledKeys(reader, where)
    expect(waiting).toMatchObject([first.registration, second.registration])
    for (let block = 0; block < 3; block += 1) {
      await mined(wallet.sendTransaction({ to: sender, value: 0n }))
    }
    const { timestamp } = await reader.getBlock()
    expect(waiting.every(({ readyAtSeconds }) => readyAtSeconds <= Number(timestamp))).toBe(true)
    await mined(wallet.sendTransaction(first.register))
    const left = await readScheduledKeys(reader, where)
    expect(left.map(({ key }) => key)).toEqual([second.registration.key])
  },
)
