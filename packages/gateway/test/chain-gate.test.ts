import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatePrivateKey } from 'viem/accounts'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { createPublicClient, http } from 'viem'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ConfigError } from '../src/config/load-config.ts'
import type { PaymentScheme } from '../src/payment/admission.ts'
import {
  behindGate,
  openChainGate,
  type ChainGate,
  type ExpectedChain,
} from '../src/payment/chain-nodes/chain-gate.ts'
import { createNoPayment } from '../src/payment/none.ts'
import { startBareChain, type BareChain } from './payment/bare-chain.ts'
import { createRequest } from './payment/requests.ts'
import { startRpcProxy } from './payment/rpc-proxy.ts'
import { createConfig, createGatewayFolder, runToEnd } from './support/start-gateway.ts'

let chain: BareChain
beforeAll(async () => {
  chain = await startBareChain()
})
afterAll(() => chain.stop())

const right: ExpectedChain = {
  network: 'eip155:84532',
  asset: baseSepoliaUsdc.address,
  assetName: 'USDC',
  assetVersion: '2',
  takesErc3009: true,
}

async function open(
  changes: Partial<ExpectedChain>,
  rpcUrl = chain.rpcUrl,
  onWrong: (error: ConfigError) => void = () => undefined,
): Promise<ChainGate> {
  const client = createPublicClient({ transport: http(rpcUrl, { retryCount: 0 }) })
  const gate = await openChainGate(client, { ...right, ...changes }, onWrong)
  onTestFinished(() => gate.stop())
  return gate
}

test('the configured chain and token open it; another of either ends the start', async () => {
  expect((await open({})).isOpen()).toBe(true)
  await expect(open({ network: 'eip155:8453' })).rejects.toThrow(ConfigError)
  await expect(open({ assetName: 'USD Coin' })).rejects.toThrow('not those of the token')
  await expect(open({ assetVersion: '1' })).rejects.toThrow('not those of the token')
  const { address: asset } = chain.nextPayer()
  await expect(open({ asset })).rejects.toThrow('no token with EIP-3009')
  // Permit2 takes tokens that know no signatures.
  expect((await open({ asset, takesErc3009: false })).isOpen()).toBe(true)
})

/** Who gets through, by whether a payment came along. */
async function admitted(scheme: PaymentScheme, header?: string): Promise<string> {
  const request = createRequest({})
  const headers = header === undefined ? request.headers : { 'payment-signature': header }
  const admission = await scheme.admit({ ...request, headers })
  return admission.kind === 'refused' ? admission.refusal.code : admission.kind
}

test('while the chain does not answer payments are refused, offers are not; then it opens', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  proxy.rule = () => 'drop'
  const gate = await open({}, proxy.url)
  const scheme = behindGate(gate, createNoPayment(Date.now))
  expect(await admitted(scheme, 'payment')).toBe('chain-unreachable')
  expect(await admitted(scheme)).toBe('admitted')
  proxy.rule = undefined
  await expect.poll(() => gate.isOpen()).toBe(true)
  expect(await admitted(scheme, 'payment')).toBe('admitted')
  await scheme.close()
})

test('a node that answers nonsense is one that does not answer', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  let asked = 0
  const again = Promise.withResolvers<void>()
  proxy.rule = () => {
    if (++asked === 2) again.resolve()
    return { result: null }
  }
  const gate = await open({}, proxy.url)
  expect(gate.isOpen()).toBe(false)
  await again.promise
  proxy.rule = undefined
  await expect.poll(() => gate.isOpen()).toBe(true)
})

test('a chain that turns out to be another one sells nothing, and is told of once', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  proxy.rule = () => 'drop'
  const told: ConfigError[] = []
  const gate = await open({ network: 'eip155:8453' }, proxy.url, (error) => {
    told.push(error)
  })
  proxy.rule = undefined
  await expect.poll(() => told.length).toBe(1)
  expect(gate.isOpen()).toBe(false)
  expect(String(told[0]?.message)).toContain('eip155:84532')
})

test('what is no answer leaves it closed: neither the start nor the process ends by it', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  let asked = 0
  proxy.rule = () => {
    asked++
    return { result: null }
  }
  const gate = await open({}, proxy.url)
  await expect.poll(() => asked).toBeGreaterThan(1)
  expect(gate.isOpen()).toBe(false)
  proxy.rule = undefined
  await expect.poll(() => gate.isOpen()).toBe(true)
})

test('a start that is refused ends, also while the chain does not answer', async () => {
  const { network, asset, assetName, assetVersion } = right
  const { address: payTo } = chain.nextPayer()
  const exact = { network, asset, assetName, assetVersion, payTo, rpcUrl: 'http://127.0.0.1:1' }
  const folder = createGatewayFolder()
  onTestFinished(() => {
    rmSync(folder, { recursive: true })
  })
  const file = join(folder, 'config.json')
  writeFileSync(file, JSON.stringify(createConfig({ config: { payment: { exact } } })))
  const ended = await runToEnd(['--config', file], {
    COUNTERSIGN_SETTLEMENT_KEY: generatePrivateKey(),
    COUNTERSIGN_CHARGE_KEY: 'nonsense',
  })
  expect(ended.stderr).toContain('COUNTERSIGN_CHARGE_KEY must hold')
  expect(ended.code).toBe(78)
})
