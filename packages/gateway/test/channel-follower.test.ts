import type { Hex } from '@countersign/protocol/payment/evm-word'
import { expect, test } from 'vitest'
import { createFollower, type Follower } from '../src/payment/channel/follower.ts'
import { createLedger, type Ledger } from '../src/payment/ledger/ledger.ts'
import { createRandom, type Random } from './ledger/random.ts'
import { sampleConfig, wordOf } from './ledger/sample-events.ts'
import { ForkingChain, type ForkChange } from './payment/forking-chain.ts'

const channels = [wordOf(1), wordOf(2), wordOf(3)] as const
const [channelId] = channels

function deposit(amount: bigint, id: Hex = channelId): ForkChange {
  return { kind: 'deposit', channelId: id, amount }
}

type Following = {
  readonly chain: ForkingChain
  readonly ledger: Ledger
  readonly follower: Follower
}

function follow(depth: number): Following {
  const chain = new ForkingChain()
  const ledger = createLedger()
  const { client, contract } = chain
  const clock = (): number => chain.height * 1000
  const follower = createFollower({ client, contract, depth, ledger, clock })
  return { chain, ledger, follower }
}

async function open({ ledger, follower }: Following, id: Hex): Promise<void> {
  const view = await follower.readChannel(id)
  ledger.apply({ type: 'channel-opened', channelId: id, config: sampleConfig, view })
  follower.watch(id, view)
}

function viewOf({ ledger }: Following): { readonly depositedAtomic: bigint } | undefined {
  return ledger.state.channels.get(channelId)?.view
}

test('a deposit counts when it has the depth, a withdrawal at once', async () => {
  const following = follow(3)
  const { chain, follower } = following
  chain.mine([deposit(100n)])
  await open(following, channelId)
  expect(viewOf(following)?.depositedAtomic).toBe(0n)
  chain.mine([])
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(0n)
  chain.mine([])
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(100n)
  chain.mine([{ kind: 'withdraw', channelId, amount: 60n }])
  await follower.poll()
  expect(viewOf(following)).toMatchObject({ depositedAtomic: 100n, withdrawingAtomic: 60n })
})

test('what a reorganisation takes back is taken back here', async () => {
  const following = follow(1)
  const { chain, follower } = following
  chain.mine([])
  await open(following, channelId)
  chain.mine([deposit(100n)])
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(100n)
  chain.reorganise(1)
  chain.mine([])
  chain.mine([deposit(5n)])
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(5n)
  // Shorter than before, and without anything of this channel.
  chain.reorganise(2)
  chain.mine([deposit(7n, channels[1])])
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(0n)
})

test('a chain that does not answer leaves everything as it was, and nothing is missed', async () => {
  const following = follow(1)
  const { chain, follower } = following
  chain.mine([])
  await open(following, channelId)
  const readAt = follower.lastReadAtMs()
  chain.mine([deposit(100n)])
  for (let failures = 1; failures < 6; failures++) {
    chain.mine([])
    const before = chain.requests
    chain.failures = 1
    // Each time another request of the same reading is the one that fails.
    await expect(follower.poll()).rejects.toThrow('the node is away')
    expect(chain.requests).toBeGreaterThan(before)
  }
  expect(follower.lastReadAtMs()).toBe(readAt)
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(100n)
  expect(follower.lastReadAtMs()).toBe(chain.height * 1000)
})

test('a deposit counts no earlier after a silence that was longer than what is remembered', async () => {
  const following = follow(200)
  const { chain, follower } = following
  await open(following, channelId)
  chain.mine([deposit(100n)])
  for (let blocks = 0; blocks < 150; blocks++) chain.mine([])
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(0n)
  for (let blocks = 0; blocks < 48; blocks++) chain.mine([])
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(0n)
  chain.mine([])
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(100n)
})

test('a withdrawal in the block after a channel was read and before it is known is not missed', async () => {
  const { chain, ledger, follower } = follow(1)
  chain.mine([deposit(100n)])
  const view = await follower.readChannel(channelId)
  chain.mine([{ kind: 'withdraw', channelId, amount: 60n }])
  // Another call, or the manager, reads on: the ledger does not know the channel yet.
  await follower.poll()
  ledger.apply({ type: 'channel-opened', channelId, config: sampleConfig, view })
  follower.watch(channelId, view)
  chain.failures = 1
  await expect(follower.poll()).rejects.toThrow('the node is away')
  await follower.poll()
  expect(ledger.state.channels.get(channelId)?.view.withdrawingAtomic).toBe(60n)
  const before = chain.requests
  await follower.poll()
  expect(chain.requests).toBe(before + 1)
})

test('a deposit that comes of age after a channel was read and before it is known is not missed', async () => {
  const following = follow(3)
  const { chain, ledger, follower } = following
  chain.mine([deposit(100n)])
  const view = await follower.readChannel(channelId)
  expect(view.depositedAtomic).toBe(0n)
  for (let block = 0; block < 2; block++) chain.mine([])
  await follower.poll()
  ledger.apply({ type: 'channel-opened', channelId, config: sampleConfig, view })
  follower.watch(channelId, view)
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(100n)
})

test('a deposit that is taken back after a channel was read and before it is known is not missed', async () => {
  const following = follow(1)
  const { chain, ledger, follower } = following
  chain.mine([deposit(100n)])
  const view = await follower.readChannel(channelId)
  expect(view.depositedAtomic).toBe(100n)
  chain.reorganise(1)
  for (let block = 0; block < 2; block++) chain.mine([])
  await follower.poll()
  ledger.apply({ type: 'channel-opened', channelId, config: sampleConfig, view })
  follower.watch(channelId, view)
  await follower.poll()
  expect(viewOf(following)?.depositedAtomic).toBe(0n)
})

test('a channel of which no block speaks since it was read is not read again', async () => {
  const following = follow(3)
  const { chain, follower } = following
  for (let block = 0; block < 4; block++) chain.mine([])
  const requestsOf = async (read: () => Promise<unknown>): Promise<number> => {
    const before = chain.requests
    await read()
    return chain.requests - before
  }
  // Only the newest block is asked for.
  await open(following, channelId)
  expect(await requestsOf(() => follower.poll())).toBe(1)
  await open(following, channels[1])
  chain.mine([deposit(5n, channelId)])
  // The block, its logs, and three reads of the channel that is touched: none of the other one.
  expect(await requestsOf(() => follower.poll())).toBe(5)
  expect(viewOf(following)?.depositedAtomic).toBe(0n)
  // Nothing is known of how it was read.
  follower.watch(channelId)
  expect(await requestsOf(() => follower.poll())).toBe(4)
})

test('what a node on another fork says of a channel is not believed beyond the next reading', async () => {
  for (const refusesHashes of [false, true]) {
    const following = follow(1)
    const { chain, follower } = following
    chain.mine([])
    chain.refusesHashes = refusesHashes
    chain.elsewhere = new ForkingChain()
    chain.elsewhere.mine([deposit(100n)])
    await open(following, channelId)
    expect(viewOf(following)?.depositedAtomic).toBe(refusesHashes ? 100n : 0n)
    chain.elsewhere = undefined
    await follower.poll()
    expect(viewOf(following)?.depositedAtomic).toBe(0n)
  }
})

test('a withdrawal that one node shows stops the channel as long as that node shows it', async () => {
  // What enough nodes agree on, and one of them: the same blocks, and one more.
  const [agreed, own] = [new ForkingChain(), new ForkingChain()]
  const ledger = createLedger()
  const { client, contract } = agreed
  const clock = (): number => agreed.height * 1000
  const ofNodes = [client, own.client]
  const follower = createFollower({ client, ofNodes, contract, depth: 1, ledger, clock })
  const following = { chain: agreed, ledger, follower }
  for (const chain of [agreed, own]) chain.mine([deposit(100n)])
  await open(following, channelId)
  await follower.poll()
  expect(viewOf(following)).toMatchObject({ depositedAtomic: 100n, withdrawingAtomic: 0n })
  own.mine([{ kind: 'withdraw', channelId, amount: 60n }])
  await follower.poll()
  expect(viewOf(following)).toMatchObject({ depositedAtomic: 100n, withdrawingAtomic: 60n })
  // Further blocks change nothing about it, nor does the silence of that node about other channels.
  for (let block = 0; block < 20; block++) for (const chain of [agreed, own]) chain.mine([])
  await follower.poll()
  expect(viewOf(following)).toMatchObject({ withdrawingAtomic: 60n })
  own.reorganise(21)
  for (let block = 0; block < 22; block++) own.mine([])
  await follower.poll()
  expect(viewOf(following)).toMatchObject({ depositedAtomic: 100n, withdrawingAtomic: 0n })
  // A node that is behind speaks of the past.
  own.reorganise(30)
  agreed.mine([deposit(50n)])
  await follower.poll()
  expect(viewOf(following)).toMatchObject({ depositedAtomic: 150n, withdrawingAtomic: 0n })
})

test('a node that stands still shows the time of its newest block', async () => {
  const chain = new ForkingChain()
  const { client, contract } = chain
  const ledger = createLedger()
  let nowMs = 0
  const clock = (): number => nowMs
  const follower = createFollower({ client, contract, depth: 1, ledger, clock })
  for (let block = 0; block < 7; block++) chain.mine([])
  nowMs = 8000
  await follower.poll()
  expect(follower.lastReadAtMs()).toBe(7000)
  nowMs = 900_000
  await follower.poll()
  expect(follower.lastReadAtMs()).toBe(7000)
  // A chain whose clock runs ahead makes nothing fresher than it is.
  chain.mine([])
  nowMs = 7500
  await follower.poll()
  expect(follower.lastReadAtMs()).toBe(7500)
})

test('a refund that paid nothing, and so left no event, is seen', async () => {
  const following = follow(2)
  const { chain, ledger, follower } = following
  chain.mine([deposit(100n)])
  chain.mine([])
  await open(following, channelId)
  ledger.apply({ type: 'refund-signed', channelId, amountAtomic: 40n })
  chain.mine([{ kind: 'silent-refund', channelId, amount: 0n }])
  await follower.poll()
  const refunding = () => ledger.state.channels.get(channelId)?.refunding
  expect(refunding()).toMatchObject({ minedAtBlock: BigInt(chain.height) })
  chain.mine([])
  await follower.poll()
  expect(refunding()).toBeUndefined()
})

test('a channel cannot be read before the chain answered once', async () => {
  const { chain, follower } = follow(1)
  chain.failures = 1
  await expect(follower.readChannel(channelId)).rejects.toThrow('the node is away')
})

function change(random: Random): ForkChange {
  const kind = random.pick(['deposit', 'deposit', 'claim', 'withdraw', 'refund'] as const)
  return { kind, channelId: random.pick(channels), amount: random.amount(1000) }
}

test('whatever the chain does, the ledger sees what stands in it', async () => {
  let compared = 0
  let reorganised = 0
  for (let seed = 1; seed <= 12; seed++) {
    const random = createRandom(seed)
    const depth = random.pick([1, 2, 3, 6])
    const following = follow(depth)
    const { chain, ledger, follower } = following
    for (let step = 0; step < 60; step++) {
      const dice = random.below(100)
      if (dice < 10) {
        chain.reorganise(random.chance(5) ? 90 : 1 + random.below(8))
        reorganised++
      }
      // A gap longer than what is remembered, now and then.
      const blocks = dice === 99 ? 70 : random.below(3)
      for (let count = 0; count < blocks; count++) {
        chain.mine(random.chance(60) ? [change(random)] : [])
      }
      if (random.chance(50)) continue
      if (random.chance(10)) {
        chain.failures = 1
        await follower.poll().catch(() => undefined)
        chain.failures = 0
      }
      await follower.poll()
      for (const id of channels) {
        if (!ledger.state.channels.has(id)) await open(following, id)
        const slot = chain.slotOf(id)
        const young = chain.youngDeposits(id, depth)
        const { balanceAtomic, ...others } = slot
        const depositedAtomic = balanceAtomic > young ? balanceAtomic - young : 0n
        const view = ledger.state.channels.get(id)?.view
        expect(view, `seed ${seed}, step ${step}`).toMatchObject({ ...others, depositedAtomic })
        compared++
      }
    }
  }
  expect(compared).toBeGreaterThan(600)
  expect(reorganised).toBeGreaterThan(20)
})
