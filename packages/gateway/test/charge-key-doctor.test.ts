/** What an operator is told of its charge keys before anything is sold (PA28). */
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import type { Hex } from 'viem'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ConfigError, parseConfig } from '../src/config/load-config.ts'
import { examine } from '../src/doctor/run-doctor.ts'
import { readChargeKeys } from '../src/payment/charge-key/read-charge-keys.ts'
import { startMeteredNetwork, type MeteredNetwork } from './payment/metered-network.ts'
import { createConfig, createGatewayFolder } from './support/start-gateway.ts'

let network: MeteredNetwork

beforeAll(async () => {
  network = await startMeteredNetwork()
})
afterAll(() => network.chain.stop())

function nameOf(key: Hex): string {
  return `charge key ${privateKeyToAddress(key)}`
}

test('the doctor says which contracts and keys payers would find', async () => {
  const operator = await network.createOperator()
  const folder = createGatewayFolder()
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const keysFile = join(folder, 'keys')
  const stranger = generatePrivateKey()
  const { payee, settler, settlementKey, terms } = operator
  const examined = async (
    keys: readonly Hex[],
    changes: object = {},
    nowMs = Date.now,
  ): Promise<readonly string[]> => {
    writeFileSync(keysFile, keys.join('\n'), { mode: 0o600 })
    const upto = {
      network: 'eip155:84532',
      asset: baseSepoliaUsdc.address,
      assetName: 'USDC',
      assetVersion: '2',
      payTo: payee,
      settler,
      rpcUrl: network.chain.rpcUrl,
    }
    const payment = { upto, operator: terms, chargeKeysFile: keysFile, ...changes }
    const file = join(folder, 'doctored.json')
    writeFileSync(file, JSON.stringify(createConfig({ config: { payment } })))
    const found = await examine(file, { environment: {}, nowMs })
    return found
      .filter(({ check }) => check.startsWith('operator'))
      .map(({ check, status }) => `${status} ${check.slice('operator '.length)}`)
  }
  const contracts = ['ok terms', 'ok registry', 'ok payee', 'ok settler']
  expect(await examined([settlementKey, stranger])).toEqual([
    ...contracts,
    `ok ${nameOf(settlementKey)}`,
    `warning ${nameOf(stranger)}`,
  ])
  expect(await examined([stranger])).toEqual([
    ...contracts,
    `warning ${nameOf(stranger)}`,
    'failed charge keys',
  ])
  for (const hours of [21, 23.5, 25]) {
    const later = (): number => Date.now() + hours * 3_600_000
    const [key, ...rest] = (await examined([settlementKey], {}, later)).slice(4)
    expect(key).toBe(`warning ${nameOf(settlementKey)}`)
    expect(rest).toEqual(hours === 21 ? [] : ['failed charge keys'])
  }
  expect(await examined([settlementKey], { operator: undefined })).toEqual(['warning terms'])
  const other = { ...terms, gatewayId: `0x${'77'.repeat(32)}` }
  expect(await examined([settlementKey], { operator: other })).toEqual(['failed terms'])
})

test('files of keys that others can read, or that hold no keys, are refused', () => {
  const key = generatePrivateKey()
  const folder = createGatewayFolder()
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const file = join(folder, 'keys')
  const upto = {
    network: 'eip155:84532',
    asset: baseSepoliaUsdc.address,
    assetName: 'USDC',
    assetVersion: '2',
    payTo: baseSepoliaUsdc.address,
    settler: baseSepoliaUsdc.address,
    rpcUrl: 'http://127.0.0.1:1',
  }
  const payment = { upto, chargeKeysFile: 'keys' }
  const { config } = parseConfig(JSON.stringify(createConfig({ config: { payment } })), folder)
  const read = (text: string, mode = 0o600): readonly Hex[] => {
    writeFileSync(file, text)
    chmodSync(file, mode)
    return readChargeKeys(config, {})
  }
  const refused = (text: string, mode?: number): string => {
    try {
      return `taken: ${read(text, mode).length}`
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError)
      // Not even a part of a key is told.
      expect(String(error)).not.toContain(key.slice(2, 20))
      return String(error)
    }
  }
  expect(read(`${key}\n`)).toEqual([key])
  expect(refused(key, 0o640)).toContain('readable by its owner only')
  expect(refused('')).toContain('1 to 8 charge keys')
  const nine = Array.from({ length: 9 }, generatePrivateKey).join('\n')
  expect(refused(nine)).toContain('1 to 8 charge keys')
  expect(refused(`${key}\n${key.slice(0, -1)}\n`)).toContain('line 2')
  expect(refused(`${key}\n${key}\n`)).toContain('twice')
  expect(refused(`0x${'f'.repeat(64)}`)).toContain('line 1')
  rmSync(file)
  expect(() => readChargeKeys(config, {})).toThrow('cannot be read')
})
