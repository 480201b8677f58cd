import { once } from 'node:events'
import { createServer } from 'node:http'
import { baseSepoliaUsdc } from '@countersign/contracts/addresses'
import { createPublicClient, numberToHex, parseAbi, type Hex, type PublicClient } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createChainNode } from '../src/payment/chain-nodes/chain-node.ts'
import { isDisagreement } from '../src/payment/chain-nodes/nodes-disagree.ts'
import { createNodesTransport } from '../src/payment/chain-nodes/nodes-transport.ts'
import { startBareChain, type BareChain } from './payment/bare-chain.ts'
import { startRpcProxy, type RpcProxy } from './payment/rpc-proxy.ts'

let chain: BareChain
let twin: BareChain
beforeAll(async () => {
  ;[chain, twin] = await Promise.all([startBareChain('twin'), startBareChain('other')])
})
afterAll(() => Promise.all([chain.stop(), twin.stop()]))

type Differences = { readonly node: number; readonly method: string }[]
type Nodes = {
  readonly client: PublicClient
  readonly nodes: readonly RpcProxy[]
  readonly differences: Differences
}

/** As many nodes, each of which can be made to lie. */
async function ask(count: number, agree: number): Promise<Nodes> {
  const nodes = await Promise.all(Array.from({ length: count }, () => startRpcProxy(chain.rpcUrl)))
  onTestFinished(async () => {
    await Promise.all(nodes.map((node) => node.stop()))
  })
  const differences: Differences = []
  const transport = createNodesTransport({
    urls: nodes.map(({ url }) => url),
    agree,
    onDifference: (node, method) => differences.push({ node, method }),
  })
  return { client: createPublicClient({ transport, cacheTime: 0 }), nodes, differences }
}

function nodeAt({ nodes }: Nodes, number: number): RpcProxy {
  const node = nodes[number - 1]
  if (node === undefined) throw new Error('no such node')
  return node
}

const abi = parseAbi(['function balanceOf(address) view returns (uint256)'])
const balanceOf = (client: PublicClient, owner: Hex): Promise<bigint> =>
  client.readContract({
    address: baseSepoliaUsdc.address,
    abi,
    functionName: 'balanceOf',
    args: [owner],
  })

async function transfer(client: PublicClient, key: Hex, to: Hex): Promise<Hex> {
  const account = privateKeyToAccount(key)
  const nonce = await client.getTransactionCount({ address: account.address })
  const serializedTransaction = await account.signTransaction({
    type: 'eip1559',
    chainId: 84_532,
    to,
    value: 1n,
    gas: 21_000n,
    nonce,
    maxFeePerGas: 10n ** 11n,
    maxPriorityFeePerGas: 1n,
  })
  return client.sendRawTransaction({ serializedTransaction })
}

const lies = { result: numberToHex(10n ** 30n, { size: 32 }) } as const

test('three nodes: a balance that one of them invents is not believed, and it is named', async () => {
  const asked = await ask(3, 2)
  const owner = chain.nextPayer().address
  nodeAt(asked, 2).rule = (method) => (method === 'eth_call' ? lies : 'forward')
  expect(await balanceOf(asked.client, owner)).toBe(await balanceOf(chain.client, owner))
  await expect.poll(() => asked.differences).toEqual([{ node: 2, method: 'eth_call' }])
})

test('a slow node is waited for where it decides between two that differ', async () => {
  const asked = await ask(3, 2)
  const owner = chain.nextPayer().address
  const expected = await balanceOf(chain.client, owner)
  const others = Promise.withResolvers<void>()
  let lied = 0
  nodeAt(asked, 2).rule = (method) => {
    if (method !== 'eth_call') return 'forward'
    lied++
    // Longer than anybody is waited for who decides nothing.
    setTimeout(others.resolve, 700)
    return lies
  }
  nodeAt(asked, 3).rule = async (method) => {
    if (method === 'eth_call') await others.promise
    return 'forward' as const
  }
  expect(await balanceOf(asked.client, owner)).toBe(expected)
  expect(lied).toBe(1)
})

test('two nodes that must agree: what one invents is nothing, and said to be a disagreement', async () => {
  const asked = await ask(2, 2)
  nodeAt(asked, 1).rule = (method) => (method === 'eth_call' ? lies : 'forward')
  const read = balanceOf(asked.client, chain.nextPayer().address)
  const error: unknown = await read.catch((cause: unknown) => cause)
  expect(isDisagreement(error)).toBe(true)
  expect(new Set(asked.differences.map(({ node }) => node))).toEqual(new Set([1, 2]))
})

test('a receipt counts when enough nodes have it, and one that is forged never', async () => {
  const asked = await ask(2, 2)
  const { client, differences } = asked
  const key = chain.nextSettlementKey()
  const to = chain.nextPayer().address
  const hash = await transfer(client, key, to)
  await chain.mined(hash)
  const receipt = await client.getTransactionReceipt({ hash })
  expect(receipt.status).toBe('success')
  // One that knows later blocks hides it.
  await chain.mine(3)
  await client.getBlockNumber()
  nodeAt(asked, 2).rule = (method) =>
    method === 'eth_getTransactionReceipt' ? { result: null } : 'forward'
  const hidden: unknown = await client
    .getTransactionReceipt({ hash })
    .catch((cause: unknown) => cause)
  expect(isDisagreement(hidden)).toBe(true)
  expect(differences).toContainEqual({ node: 2, method: 'eth_getTransactionReceipt' })
  // Nobody has it: that is no disagreement.
  nodeAt(asked, 2).rule = undefined
  const none = client.getTransactionReceipt({ hash: `0x${'12'.repeat(32)}` })
  await expect(none).rejects.toThrow('could not be found')
})

test.each<readonly [string, string | object | null]>([
  ['numbers that are none', { blockNumber: 'zzz', logs: 'none', status: {} }],
  ['a text', 'zzz'],
  ['a list', [[[]]]],
  ['members of objects', { ['__proto__']: 1, constructor: null, blockNumber: '0x' }],
])('a node that answers everything with %s is outvoted', async (_, result) => {
  const asked = await ask(3, 2)
  const { client } = asked
  const hash = await transfer(client, chain.nextSettlementKey(), chain.nextPayer().address)
  await chain.mined(hash)
  await chain.mine(3)
  nodeAt(asked, 2).rule = () => ({ result })
  expect(await client.getBlockNumber()).toBe(await chain.client.getBlockNumber())
  expect((await client.getTransactionReceipt({ hash })).status).toBe('success')
  expect(await client.getGasPrice()).toBe(await chain.client.getGasPrice())
  const logs = { address: baseSepoliaUsdc.address, fromBlock: 0n } as const
  expect(await client.getLogs(logs)).toEqual(await chain.client.getLogs(logs))
  await expect.poll(() => asked.differences.some(({ node }) => node === 2)).toBe(true)
})

test('a node that lags is waited for where it is needed, and is no liar', async () => {
  const asked = await ask(2, 2)
  const { client, differences } = asked
  await chain.mine(2)
  const behind = (await chain.client.getBlockNumber()) - 2n
  nodeAt(asked, 2).rule = async (method, params) => {
    if (method === 'eth_getBlockByNumber' && params[0] === 'latest') {
      return { result: Object(await chain.call(method, numberToHex(behind), false)) }
    }
    return 'forward'
  }
  expect(await client.getBlockNumber()).toBe(behind)
  expect((await client.getBlock()).number).toBe(behind)
  // The state of that block, at both.
  const sent = await transfer(chain.client, chain.nextSettlementKey(), chain.nextPayer().address)
  await chain.mined(sent)
  expect(await client.getBlockNumber()).toBe(behind)
  expect(differences).toEqual([])
  // Where two of three suffice nobody waits for it.
  const three = await ask(3, 2)
  const { rule } = nodeAt(asked, 2)
  nodeAt(three, 3).rule = rule
  // Who has answered within 300 ms decides: in a process that stands still it may be the one that lags.
  const head = await chain.client.getBlockNumber()
  await expect.poll(() => three.client.getBlockNumber()).toBe(head)
})

test('forks near the head are gone back by, and another chain never counts', async () => {
  const apart = await ask(2, 2)
  const common = await chain.client.getBlockNumber()
  await chain.mine(2)
  nodeAt(apart, 2).rule = async (method, params) => {
    if (method !== 'eth_getBlockByNumber') return 'forward'
    const block = Object(await chain.call(method, params[0], false))
    const number = BigInt(block.number)
    if (number <= common) return 'forward'
    const hash = numberToHex(number + 10n ** 20n, { size: 32 })
    return { result: { ...block, hash } }
  }
  expect(await apart.client.getBlockNumber()).toBe(common)
  expect(apart.differences.length).toBeGreaterThan(0)
  // The first blocks of two networks can be the same: further back than is gone.
  await Promise.all([chain.mine(9), twin.mine(9)])
  const other = createPublicClient({
    transport: createNodesTransport({
      urls: [chain.rpcUrl, twin.rpcUrl],
      agree: 2,
      onDifference: () => undefined,
    }),
  })
  const error: unknown = await other.getBlockNumber().catch((cause: unknown) => cause)
  expect(isDisagreement(error)).toBe(true)
})

test('without enough nodes there is no answer; with enough the silent one holds up nothing', async () => {
  const two = await ask(2, 2)
  nodeAt(two, 1).rule = () => 'drop'
  const error: unknown = await two.client.getBlockNumber().catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(Error)
  expect(isDisagreement(error)).toBe(false)
  const three = await ask(3, 2)
  const held = Promise.withResolvers<'forward'>()
  onTestFinished(() => {
    held.resolve('forward')
  })
  nodeAt(three, 2).rule = () => held.promise
  // It answers nothing before the end of the test.
  for (let read = 0; read < 5; read++) {
    expect(await three.client.getBlockNumber()).toBe(await chain.client.getBlockNumber())
  }
})

test('transactions go to all, and one node that takes them is enough', async () => {
  const asked = await ask(3, 2)
  const refusal = { error: { code: -32_000, message: 'insufficient funds' } } as const
  nodeAt(asked, 1).rule = (method) => (method === 'eth_sendRawTransaction' ? refusal : 'forward')
  nodeAt(asked, 3).rule = (method) => (method === 'eth_sendRawTransaction' ? 'drop' : 'forward')
  const hash = await transfer(asked.client, chain.nextSettlementKey(), chain.nextPayer().address)
  expect((await chain.mined(hash)).status).toBe('success')
  for (const node of asked.nodes) {
    node.rule = (method) => (method === 'eth_sendRawTransaction' ? refusal : 'forward')
  }
  const refused = transfer(asked.client, chain.nextSettlementKey(), chain.nextPayer().address)
  await expect(refused).rejects.toThrow('insufficient funds')
})

test('a price of gas that one node invents is not paid, and a pending nonce that it invents not filled', async () => {
  const asked = await ask(3, 2)
  const absurd = { result: '0xffffffffffffff' } as const
  nodeAt(asked, 2).rule = (method, params) =>
    method === 'eth_gasPrice' || (method === 'eth_getTransactionCount' && params[1] === 'pending')
      ? absurd
      : 'forward'
  expect(await asked.client.getGasPrice()).toBe(await chain.client.getGasPrice())
  const { address } = chain.nextPayer()
  expect(await asked.client.getTransactionCount({ address, blockTag: 'pending' })).toBe(0)
})

test('logs of a range end at the agreed head, and a contract that reverts does so at all', async () => {
  const asked = await ask(2, 2)
  const { address } = baseSepoliaUsdc
  const head = await chain.client.getBlockNumber()
  const logs = await asked.client.getLogs({ address, fromBlock: 0n, toBlock: 'latest' })
  expect(logs).toEqual(await chain.client.getLogs({ address, fromBlock: 0n, toBlock: head }))
  const reverting = asked.client.readContract({
    address,
    abi: parseAbi(['function transfer(address,uint256) returns (bool)']),
    functionName: 'transfer',
    args: [address, 10n ** 30n],
  })
  const error: unknown = await reverting.catch((cause: unknown) => cause)
  expect(String(error)).toContain('reverted')
  expect(isDisagreement(error)).toBe(false)
})

const onDifference = (): void => undefined

test('a rule under which two answers could both be believed is none', () => {
  const urls = ['http://a.test', 'http://b.test']
  expect(() => createNodesTransport({ urls, agree: 1, onDifference })).toThrow(RangeError)
  expect(() => createNodesTransport({ urls, agree: 3, onDifference })).toThrow(RangeError)
  const twice = ['http://a.test', 'http://a.test', 'http://b.test']
  expect(() => createNodesTransport({ urls: twice, agree: 2, onDifference })).toThrow(RangeError)
})

test('an answer that is nested too deep to be compared says nothing, and ends nothing', async () => {
  const asked = await ask(3, 2)
  const owner = chain.nextPayer().address
  const expected = await balanceOf(chain.client, owner)
  // It can be read, and not written.
  const text = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
  nodeAt(asked, 1).rule = (method) => (method === 'eth_call' ? { text } : 'forward')
  expect(await balanceOf(asked.client, owner)).toBe(expected)
  nodeAt(asked, 2).rule = (method) => (method === 'eth_call' ? 'drop' : 'forward')
  await expect(balanceOf(asked.client, owner)).rejects.toThrow('disagree')
})

test('a node that begins to answer and does not end is silent, not waited for for ever', async () => {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const node = createChainNode(`http://127.0.0.1:${address.port}`, 1, 100)
  expect(await node.ask('eth_chainId', [])).toMatchObject({ kind: 'silent' })
})
