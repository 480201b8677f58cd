/** Events are asked for in ranges that a node answers. */
import { createServer } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createChainReader, type ChainReader } from '@countersign/client'
import { refusalOf } from './kit/fetch-fixture.ts'

type Range = { readonly from: bigint; readonly to: bigint; readonly isOpen: boolean }

/** Like public nodes: blocks by number, and no more of them, or of their events, than so many at once. */
const node = { head: 0n, maxBlocks: 0n, maxEvents: 0, events: [] as readonly bigint[] }
const asked: Range[] = []
let reader: ChainReader
const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const { method, params } = JSON.parse(Buffer.concat(chunks).toString())
    const answer = method === 'eth_blockNumber' ? { result: hex(node.head) } : answerLogs(params[0])
    response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, ...answer }))
  })
})

function hex(number: bigint): string {
  return `0x${number.toString(16)}`
}

function answerLogs(filter: { readonly fromBlock: string; readonly toBlock?: string }): object {
  const from = BigInt(filter.fromBlock)
  const to = filter.toBlock === undefined ? node.head : BigInt(filter.toBlock)
  asked.push({ from, to, isOpen: filter.toBlock === undefined })
  const found = node.events.filter((block) => block >= from && block <= to)
  if (to - from + 1n > node.maxBlocks || found.length > node.maxEvents) {
    return { error: { code: -32_005, message: 'query exceeds the limit' } }
  }
  return { result: found.map((block) => ({ topics: ['0x01'], data: `0x${word(block)}` })) }
}

const word = (block: bigint): string => block.toString(16).padStart(64, '0')

beforeAll(async () => {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  reader = createChainReader(`http://127.0.0.1:${port}`)
})
afterAll(() => {
  server.close()
})
beforeEach(() => {
  Object.assign(node, { head: 0n, maxBlocks: 10n ** 18n, maxEvents: 1000, events: [] })
  asked.length = 0
})

async function readFrom(fromBlock: bigint): Promise<readonly bigint[]> {
  const logs = await reader.getLogs('0x11', '0x01', fromBlock)
  return logs.map(({ data }) => BigInt(data))
}

/** What was answered covers everything since `from`, nothing twice. */
function expectWhole(from: bigint): void {
  const answered = asked.filter(({ from: first, to }) => to - first + 1n <= node.maxBlocks)
  let next = from
  for (const range of answered) {
    expect(range.from).toBe(next)
    next = range.to + 1n
  }
  expect(next).toBe(node.head + 1n)
  // A node behind the one that named the head answers what it has.
  expect(answered.map(({ isOpen }) => isOpen)).toEqual([
    ...Array<boolean>(answered.length - 1).fill(false),
    true,
  ])
}

test.each([0n, 1n, 249n, 99_999n, 100_000n, 100_001n, 234_567n])(
  'a node that answers 1,000 blocks at a time is asked for no more, after %s blocks',
  async (count) => {
    const from = 7n
    const head = from + count - 1n
    const events = [from, from, head].filter(() => count > 0n)
    Object.assign(node, { head, maxBlocks: 1000n, events })
    expect(await readFrom(from)).toEqual(node.events)
    expectWhole(from)
    // A longer range is tried now and then: not more than one in sixteen was refused after the first.
    const refused = asked.filter(({ from: first, to }) => to - first + 1n > 1000n).length
    expect(refused).toBeLessThan(10 + asked.length / 8)
  },
)

test('a node without a limit is asked for 100,000 blocks at a time', async () => {
  Object.assign(node, { head: 300_000n, events: [0n, 100_000n, 299_999n, 300_000n] })
  expect(await readFrom(0n)).toEqual(node.events)
  expect(asked).toHaveLength(4)
  expectWhole(0n)
})

test('many events are read in short ranges, and long ones again where there are few', async () => {
  const many = Array.from({ length: 3000 }, (_, place) => 500_000n + 20n * BigInt(place))
  Object.assign(node, { head: 3_000_000n, events: many })
  expect(await readFrom(0n)).toEqual(many)
  expect(asked.length).toBeLessThan(150)
})

test('a node that answers no range, or has more than anybody can judge, is refused', async () => {
  Object.assign(node, { head: 5000n, maxBlocks: 1n })
  expect(await refusalOf(readFrom(0n))).toBe('chain-unreachable')
  expect(asked.length).toBeLessThan(10)
  const events = Array.from({ length: 60_000 }, (_, place) => BigInt(place))
  Object.assign(node, { head: 60_000n, maxBlocks: 10n ** 18n, maxEvents: 5000, events })
  expect(await refusalOf(readFrom(0n))).toBe('chain-unreachable')
})
