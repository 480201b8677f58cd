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
  const follower = createFollower({ client, contract, depth, ledger, clock: () => chain.height })
  return { chain, ledger, follower }
}

async function open({ ledger, follower }: Following, id: Hex): Promise<void> {
  const view = await follower.readChannel(id)
  ledger.apply({ type: 'channel-opened', channelId: id, config: sampleConfig, view })
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
  expect(follower.lastReadAtMs()).toBe(chain.height)
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
