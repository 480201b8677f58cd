/** What an operator configures for collecting, and what the doctor says of it (spec/payment.md PA31). */
import { getAddress } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ConfigError, parseConfig } from '../src/config/load-config.ts'
import { checkCollect } from '../src/doctor/check-collect.ts'
import {
  startCollecting,
  startMoodyChain,
  token,
  type MoodyChain,
} from './payment/collect-fixture.ts'
import { createConfig } from './support/start-gateway.ts'

let chain: MoodyChain
beforeAll(async () => {
  chain = await startMoodyChain()
})
afterAll(() => chain.stop())

test('the doctor says where the money goes, and what keeps it', async () => {
  const { payTo, owner } = await startCollecting(chain)
  const onChain = {
    network: 'eip155:84532',
    asset: token,
    assetName: 'USDC',
    assetVersion: '2',
    rpcUrl: chain.rpcUrl,
  }
  const examined = async (
    collect: object | undefined,
    address = payTo,
    { rpcUrl = chain.rpcUrl, ...others }: { rpcUrl?: string; chain?: object } = {},
  ): Promise<readonly string[]> => {
    const payment = { exact: { ...onChain, payTo: address, rpcUrl }, collect, ...others }
    const text = JSON.stringify(createConfig({ config: { payment } }))
    const findings = await checkCollect(parseConfig(text, '/nowhere').config, 5000)
    return findings.map(({ status, message }) => `${status} ${message}`)
  }
  await chain.mint(payTo, 12n)
  const lies = '0 in the batch contract, 12 in the payee'
  const paid = getAddress(owner)
  expect(await examined({ minAtomic: '1' })).toEqual([`ok goes to ${paid}; ${lies}`])
  expect(await examined(undefined)).toEqual([`warning ${lies}: nobody brings it to ${paid}`])
  await chain.setBlocked(owner, true)
  expect(await examined({ minAtomic: '1' })).toEqual([
    `ok goes to ${paid}; ${lies}`,
    `failed the token refuses to pay ${paid}`,
  ])
  // Several nodes are asked, and the first is down: two names of one node here.
  const otherNodes = [`${chain.rpcUrl}/?a`, `${chain.rpcUrl}/?b`]
  const nodes = { rpcUrl: 'http://127.0.0.1:9', chain: { otherNodes } }
  expect(await examined({ minAtomic: '1' }, payTo, nodes)).toEqual([
    `ok goes to ${paid}; ${lies}`,
    `failed the token refuses to pay ${paid}`,
  ])
  // An account of the operator's own: nothing is to be collected.
  const account = '0x00000000000000000000000000000000000a11cf'
  expect(await examined(undefined, account)).toEqual([
    `ok goes to ${account}; 0 in the batch contract, 0 in the payee`,
  ])
})

const file = (payment: object): string => JSON.stringify(createConfig({ config: { payment } }))

test('a configuration that collects nothing, or for nothing, is refused', () => {
  const exact = {
    network: 'eip155:84532',
    asset: token,
    assetName: 'USDC',
    assetVersion: '2',
    payTo: token,
    rpcUrl: chain.rpcUrl,
  }
  const parse = (collect: object): unknown => {
    const { config } = parseConfig(file({ exact, collect }), '/nowhere')
    return config.payment === 'none' ? undefined : config.payment.collect
  }
  expect(parse({ minAtomic: '5' })).toEqual({
    minAtomic: '5',
    minIntervalMinutes: 60,
    maxGasPerDay: 7_200_000,
    maxGasPriceGwei: 50,
  })
  for (const wrong of [
    {},
    { minAtomic: '0' },
    { minAtomic: '01' },
    { minAtomic: 5 },
    { minAtomic: '5', maxGasPerDay: 299_999 },
    { minAtomic: '5', maxWaitHours: 0 },
    { minAtomic: '5', to: token },
  ]) {
    expect(() => parse(wrong), JSON.stringify(wrong)).toThrow(ConfigError)
  }
  const alone = file({ apiKeys: { asset: 'credits' }, collect: { minAtomic: '5' } })
  expect(() => parseConfig(alone, '/nowhere')).toThrow('payment.collect goes with')
})
