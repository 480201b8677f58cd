/** A facilitator that asks several nodes of its chain (spec/payment.md PA27.10). */
import { numberToHex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { loadFacilitatorConfig } from '../src/facilitator/facilitator-config.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask, askExact, askUpto, readSender, reasonOf } from './facilitator/ask.ts'
import { createFacilitatorSetup } from './facilitator/facilitator-process.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import { createDirectory } from './payment/requests.ts'
import { startRpcProxy, type RpcProxy } from './payment/rpc-proxy.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

async function startNodes(
  count: number,
): Promise<{ readonly url: string; readonly nodes: readonly RpcProxy[] }> {
  const nodes = await Promise.all(Array.from({ length: count }, () => startRpcProxy(chain.rpcUrl)))
  onTestFinished(async () => {
    await Promise.all(nodes.map((node) => node.stop()))
  })
  const [rpcUrl = '', ...otherNodes] = nodes.map(({ url }) => url)
  const setup = createFacilitatorSetup(chain, { rpcUrl, otherNodes })
  return { url: await setup.serve(), nodes }
}

/** Everybody is rich, and nothing is used: as one word. */
const invented = { result: numberToHex(10n ** 30n, { size: 32 }) } as const

test('money that one of three nodes invents is not believed, and that node is named', async () => {
  const { url, nodes } = await startNodes(3)
  const [, second] = nodes
  if (second === undefined) throw new Error('three nodes')
  second.rule = (method) => (method === 'eth_call' ? invented : 'forward')
  const poor = privateKeyToAccount(generatePrivateKey())
  const verified = await ask(url, 'verify', await askExact(poor))
  expect(reasonOf(verified)).toBe('invalid_exact_evm_insufficient_balance')
  const sender = await readSender(url)
  const upto = await ask(url, 'verify', askUpto(generatePrivateKey(), sender))
  expect(reasonOf(upto)).toBe('permit2_allowance_required')
  await expect
    .poll(async () => (await fetch(`${url}/metrics`)).text())
    .toMatch(/chain_node_differences_total\{network="eip155:84532",node="2"\} [1-9]/)
  // Whoever has money is paid for all the same, once, by whichever node.
  const settled = await ask(url, 'settle', await askExact(chain.nextPayer()))
  expect(settled.body).toMatchObject({ success: true })
})

test('one node of three may be away; what two of two say differently is nothing', async () => {
  const three = await startNodes(3)
  const [away] = three.nodes
  if (away === undefined) throw new Error('three nodes')
  away.rule = () => 'drop'
  const account = chain.nextPayer()
  const settled = await ask(three.url, 'settle', await askExact(account))
  expect(settled.body).toMatchObject({ success: true })

  const two = await startNodes(2)
  const [liar] = two.nodes
  if (liar === undefined) throw new Error('two nodes')
  // A balance alone: less than the other says, and more.
  liar.rule = (method, params) =>
    method === 'eth_call' && JSON.stringify(params).includes('0x70a08231') ? invented : 'forward'
  const refused = await ask(two.url, 'verify', await askExact(account))
  expect([refused.status, reasonOf(refused)]).toEqual([503, 'verification_state_unavailable'])
  expect(JSON.stringify(refused.body)).toContain('do not say the same')
})

/** `eip155:1` in place of the chain that is configured. */
const otherChain = { result: numberToHex(1) } as const

test('a facilitator of another chain than the configured one does not start', async () => {
  const node = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => node.stop())
  node.rule = (method) => (method === 'eth_chainId' ? otherChain : 'forward')
  const setup = createFacilitatorSetup(chain, { rpcUrl: node.url })
  await expect(setup.serve()).rejects.toThrow('eip155:1, not eip155:84532')
  // Nothing of it is left: its folder and its account are free.
  node.rule = undefined
  const settled = await ask(await setup.serve(), 'settle', await askExact(chain.nextPayer()))
  expect(settled.body).toMatchObject({ success: true })
})

test('a chain that was silent at the start is asked for its id before anything else', async () => {
  const node = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => node.stop())
  const asked: string[] = []
  node.rule = () => 'drop'
  const url = await createFacilitatorSetup(chain, { rpcUrl: node.url }).serve()
  node.rule = (method) => {
    asked.push(method)
    return method === 'eth_chainId' ? otherChain : 'forward'
  }
  const payment = await askExact(chain.nextPayer())
  for (const operation of ['verify', 'settle'] as const) {
    const refused = await ask(url, operation, payment)
    expect([refused.status, reasonOf(refused)]).toEqual([503, 'verification_state_unavailable'])
  }
  expect((await fetch(`${url}/readyz`)).status).toBe(503)
  await expect.poll(() => asked).toContain('eth_chainId')
  expect(new Set(asked)).toEqual(new Set(['eth_chainId']))
  node.rule = undefined
  await expect
    .poll(async () => (await ask(url, 'settle', payment)).body, { interval: 200 })
    .toMatchObject({ success: true })
})

test.each([
  [{ otherNodes: ['http://127.0.0.1:1/'] }, 'names a node twice'],
  [{ otherNodes: ['http://127.0.0.1:2', 'http://127.0.0.1:3'], agree: 1 }, 'more than half'],
  [{ agree: 2 }, 'not more than all'],
])('nodes that make no rule are refused: %j', (nodes, expected) => {
  const file = join(createDirectory(), 'facilitator.json')
  const network = {
    network: 'eip155:84532',
    rpcUrl: 'http://127.0.0.1:1',
    assets: [{ address: `0x${'1'.repeat(40)}`, name: 'USDC', version: '2' }],
    payees: 'any',
    ...nodes,
  }
  const config = { listen: { port: 0 }, dataDir: 'data', networks: [network], anonymous: true }
  writeFileSync(file, JSON.stringify(config))
  expect(() => loadFacilitatorConfig(file)).toThrow(expected)
})
