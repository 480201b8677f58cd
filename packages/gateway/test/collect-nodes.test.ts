/** Collecting with several nodes, and with transactions that others take the place of (spec/payment.md PA31.5). */
import { batchSettlementAbi } from '@countersign/contracts/batch-settlement'
import { encodeFunctionData, parseGwei } from 'viem'
import { privateKeyToAccount, privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createChainClients } from '../src/payment/chain-nodes/nodes-transport.ts'
import { walletOf } from './payment/approved-payer.ts'
import {
  batch,
  isUnderWay,
  listSteps,
  readContract,
  startCollecting,
  startMoodyChain,
  token,
  type Collecting,
  type MoodyChain,
} from './payment/collect-fixture.ts'
import { startRpcProxy, type RpcProxy } from './payment/rpc-proxy.ts'

let chain: MoodyChain
beforeAll(async () => {
  chain = await startMoodyChain()
})
afterAll(() => chain.stop())

async function startProxy(): Promise<RpcProxy> {
  const proxy = await startRpcProxy(chain.rpcUrl)
  onTestFinished(() => proxy.stop())
  return proxy
}

/** As a gateway does: a look that failed, because a node was slow, is taken again later. */
async function settleDown(collecting: Collecting): Promise<void> {
  const faults: unknown[] = []
  while (faults.length < 20) {
    try {
      return await collecting.settleDown()
    } catch (error) {
      faults.push(error)
      collecting.nowMs += 1000
    }
  }
  throw new AggregateError(faults, 'every look failed')
}

test('one node that lies about what lies there sets nothing in motion, and holds nothing up', async () => {
  const [liar, honest] = [await startProxy(), await startProxy()]
  const differences: number[] = []
  const { client } = createChainClients({
    urls: [chain.rpcUrl, liar.url, honest.url],
    agree: 2,
    onDifference: (node) => differences.push(node),
  })
  const collecting = await startCollecting(chain, { minAtomic: 1000n }, { client })
  await collecting.earn()
  // 2^64 claimed, nothing settled; the same as a balance.
  const riches = `0x${(1n << 64n).toString(16).padStart(64, '0')}${'0'.repeat(64)}`
  liar.rule = (method) => (method === 'eth_call' ? { result: riches } : 'forward')
  await settleDown(collecting)
  expect(collecting.asked).toHaveLength(0)
  expect(collecting.collector.status()).toMatchObject({ inContractAtomic: 40n, state: 'waiting' })
  expect(new Set(differences)).toEqual(new Set([2]))
  // Two that lie alike are believed, also about the trial. Nothing goes anywhere else for it: the money reaches its
  // owner too early, and what moves nothing is held back.
  honest.rule = liar.rule
  for (let look = 0; look < 10; look++) {
    collecting.nowMs += 2000
    await settleDown(collecting)
  }
  liar.rule = undefined
  honest.rule = undefined
  expect(await readContract(collecting)).toBe(0n)
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
  expect((await listSteps(collecting)).toSorted()).toEqual([
    'forward',
    'forward',
    'settle',
    'settle',
  ])
  expect(collecting.collector.status()).toMatchObject({ state: 'refused', gasToday: 600_000n })
})

test('what takes the place of a transaction of ours is looked at by what it brought', async () => {
  const collecting = await startCollecting(chain)
  await collecting.earn()
  const { settlementKey } = collecting.scheme
  const address = privateKeyToAddress(settlementKey)
  await chain.call('evm_setAutomine', false)
  try {
    await collecting.collector.step()
    expect(isUnderWay(collecting)).toBe(true)
    // As PA9.9 does it: the same call at a higher fee, whose bytes no journal has.
    await walletOf(chain, privateKeyToAccount(settlementKey)).sendTransaction({
      to: batch,
      data: encodeFunctionData({
        abi: batchSettlementAbi,
        functionName: 'settle',
        args: [collecting.payTo, token],
      }),
      nonce: await chain.client.getTransactionCount({ address }),
      gas: 150_000n,
      maxFeePerGas: parseGwei('40'),
      maxPriorityFeePerGas: parseGwei('2'),
    })
    await chain.mine()
  } finally {
    await chain.call('evm_setAutomine', true)
  }
  await collecting.settleDown()
  expect(collecting.news.filter(({ kind }) => kind === 'ended')).toMatchObject([
    { step: 'settle', result: 'replaced' },
    { step: 'forward', result: 'done', movedAtomic: 40n },
  ])
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
  expect(await listSteps(collecting)).toEqual(['settle', 'forward'])
})
