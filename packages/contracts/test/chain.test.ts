import { privateKeyToAccount } from 'viem/accounts'
import { expect, test, vi } from 'vitest'
import {
  needsAnvil,
  payee,
  rpc,
  sender,
  senderKey,
  spawnChain,
  startLocalChain,
  temporaryDirectory,
} from './local-chain.ts'

const account = privateKeyToAccount(senderKey)
const funded = `${sender}=1000000000000000000`
const waiting = { timeout: 60_000, interval: 10 }

function signTransfer(nonce: number) {
  return account.signTransaction({
    chainId: 84_532,
    type: 'eip1559',
    nonce,
    gas: 21_000n,
    to: payee,
    value: 1n,
    maxFeePerGas: 10_000_000_000n,
    maxPriorityFeePerGas: 1n,
  })
}

test(
  'mines a transaction and one empty block after it, long before the heartbeat',
  needsAnvil,
  async () => {
    const chain = await startLocalChain(temporaryDirectory(), { fund: [funded] })
    const head = async () => Number(await chain.read('eth_blockNumber', []))
    await vi.waitUntil(async () => (await head()) === 1, waiting)
    const hash = await chain.send(await signTransfer(0))
    await vi.waitUntil(async () => (await head()) === 3, waiting)
    const receipt = await chain.read('eth_getTransactionReceipt', [hash])
    expect(receipt).toMatchObject({ status: '0x1', blockNumber: '0x2' })
    expect(await chain.read('eth_getBlockTransactionCountByNumber', ['0x3'])).toBe('0x0')
  },
)

test(
  'mines empty blocks at the heartbeat, so that time-outs on the chain run',
  needsAnvil,
  async () => {
    const chain = await startLocalChain(temporaryDirectory(), { heartbeatMs: 20 })
    const head = async () => Number(await chain.read('eth_blockNumber', []))
    await vi.waitUntil(async () => (await head()) >= 5, waiting)
    expect(await chain.read('eth_getBlockTransactionCountByNumber', ['0x4'])).toBe('0x0')
  },
)

test('gives each block a later second, and none from the future', needsAnvil, async () => {
  const { port } = await spawnChain(temporaryDirectory(), ['--fund', funded])
  const timestamps: number[] = []
  for (let nonce = 0; nonce < 3; nonce += 1) {
    const sent = await rpc(port, 'eth_sendRawTransaction', [await signTransfer(nonce)])
    const receipt = await vi.waitUntil(
      async () => (await rpc(port, 'eth_getTransactionReceipt', [sent.result])).result,
      waiting,
    )
    const { blockNumber } = Object(receipt)
    const block = Object((await rpc(port, 'eth_getBlockByNumber', [blockNumber, false])).result)
    timestamps.push(Number(block.timestamp))
    expect(Number(block.timestamp)).toBeLessThanOrEqual(Date.now() / 1000)
  }
  expect(timestamps).toEqual([...new Set(timestamps)].toSorted((a, b) => a - b))
})
