/** What was paid comes to the operator by itself, last of all and within its bounds (spec/payment.md PA31). */
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { gatewayPayeeAbi } from '@countersign/contracts/gateway-payee'
import { moodyUsdcAbi } from '@countersign/contracts/moody-usdc'
import { encodeFunctionData, toFunctionSelector, type Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import {
  isUnderWay,
  listSteps,
  readContract,
  startCollecting,
  startMoodyChain,
  token,
  type Collecting,
  type MoodyChain,
} from './payment/collect-fixture.ts'

let chain: MoodyChain
beforeAll(async () => {
  chain = await startMoodyChain()
})
afterAll(() => chain.stop())
afterEach(async () => {
  await chain.setPaused(false)
  await chain.setFee(0n)
})

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

const pauseCall = encodeFunctionData({
  abi: moodyUsdcAbi,
  functionName: 'setPaused',
  args: [true],
})
const forwardCall = encodeFunctionData({
  abi: gatewayPayeeAbi,
  functionName: 'forward',
  args: [token],
})

/** What is due is sent, and a call of a stranger stands before it in its block. */
async function inOneBlock(collecting: Collecting, to: Hex, data: Hex): Promise<void> {
  await chain.call('evm_setAutomine', false)
  try {
    await collecting.collector.step()
    expect(isUnderWay(collecting)).toBe(true)
    expect(stateOf(collecting)).toBe('under-way')
    await chain.hurry(to, data)
    await chain.mine()
  } finally {
    await chain.call('evm_setAutomine', true)
  }
  await collecting.settleDown()
}

const stateOf = ({ collector }: Collecting): string | undefined => collector.status()?.state

test('settles and forwards what is enough, once, to the owner of the payee alone', async () => {
  const collecting = await startCollecting(chain, { minAtomic: 100n, minIntervalMs: hourMs })
  await collecting.earn(2)
  await collecting.settleDown()
  // 80 are less than enough.
  expect(collecting.asked).toHaveLength(0)
  expect(collecting.collector.status()).toMatchObject({ inContractAtomic: 80n, state: 'waiting' })
  await collecting.earn()
  // Nobody has looked since.
  await collecting.collector.step()
  expect(collecting.asked).toHaveLength(0)
  collecting.nowMs += minuteMs
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(120n)
  expect(await chain.tokensOf(collecting.payTo)).toBe(0n)
  expect(await readContract(collecting)).toBe(0n)
  expect(await listSteps(collecting)).toEqual(['settle', 'forward'])
  expect(collecting.news.filter(({ kind }) => kind === 'ended')).toMatchObject([
    { step: 'settle', result: 'done', movedAtomic: 120n },
    { step: 'forward', result: 'done', movedAtomic: 120n },
  ])
  // What comes by other schemes lies in the payee at once; it waits for the interval.
  await chain.mint(collecting.payTo, 500n)
  collecting.nowMs += 59 * minuteMs
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(120n)
  expect(collecting.collector.status()).toMatchObject({ heldAtomic: 500n, state: 'waiting' })
  collecting.nowMs += 2 * minuteMs
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(620n)
  expect(await listSteps(collecting)).toEqual(['settle', 'forward', 'forward'])
  // To nowhere else, and nothing but the two calls.
  const targets = new Set(collecting.asked.map(({ to, data }) => `${to} ${data.length}`))
  expect([...targets].toSorted()).toEqual(
    [
      `${baseSepoliaX402.batchSettlement.toLowerCase()} ${2 + 8 + 128}`,
      `${collecting.payTo} ${2 + 8 + 64}`,
    ].toSorted(),
  )
})

test('what is too little is collected after the longest wait, whoever was restarted meanwhile', async () => {
  const maxWaitMs = 10 * hourMs
  const collecting = await startCollecting(chain, { minAtomic: 10n ** 6n, maxWaitMs })
  await collecting.earn()
  await collecting.settleDown()
  collecting.nowMs += 9 * hourMs
  collecting.restart()
  await collecting.settleDown()
  expect(collecting.asked).toHaveLength(0)
  collecting.nowMs += hourMs
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
  expect(await listSteps(collecting)).toEqual(['settle', 'forward'])
  // The wait begins anew with what comes next.
  await chain.mint(collecting.payTo, 3n)
  collecting.nowMs += hourMs
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
  collecting.nowMs += maxWaitMs
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(43n)
  // Somebody else was faster: nothing is left that could have waited.
  await chain.mint(collecting.payTo, 3n)
  collecting.nowMs += hourMs
  await collecting.settleDown()
  expect(collecting.scheme.scheme.context.ledger.state.uncollected.size).toBe(1)
})

test('a token that is paused costs no gas, however long, and is collected when it goes on', async () => {
  const collecting = await startCollecting(chain, { minIntervalMs: minuteMs })
  await collecting.earn()
  await chain.setPaused(true)
  const waits: number[] = []
  for (let look = 0; look < 300; look++) {
    const before = collecting.news.length
    await collecting.settleDown()
    for (const each of collecting.news.slice(before)) {
      if (each.kind === 'refused') waits.push(each.tryAgainMs / minuteMs)
    }
    collecting.nowMs += minuteMs
  }
  // 300 minutes: tried after 1, 2, 4, … of them.
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256])
  expect(collecting.asked).toHaveLength(0)
  expect(stateOf(collecting)).toBe('refused')
  expect(collecting.collector.status()).toMatchObject({
    gasToday: 0n,
    counts: [{ step: 'settle', result: 'refused', count: 9 }],
  })
  expect(collecting.news.find(({ kind }) => kind === 'refused')).toMatchObject({
    step: 'settle',
    // The name of the error of the token.
    revert: toFunctionSelector('TransfersArePaused()'),
  })
  await chain.setPaused(false)
  collecting.nowMs += 256 * minuteMs
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
  expect(stateOf(collecting)).toBe('waiting')
})

test('while the owner cannot be paid nothing is settled for it either', async () => {
  const collecting = await startCollecting(chain)
  await chain.mint(collecting.payTo, 7n)
  await chain.setBlocked(collecting.owner, true)
  await collecting.earn()
  // The contract goes first; then the owner is found to be refused.
  await collecting.settleDown()
  expect(await listSteps(collecting)).toEqual(['settle'])
  await collecting.earn(2)
  for (let look = 0; look < 20; look++) {
    collecting.nowMs += minuteMs
    await collecting.settleDown()
  }
  expect(await listSteps(collecting)).toEqual(['settle'])
  expect(stateOf(collecting)).toBe('refused')
  await chain.setBlocked(collecting.owner, false)
  collecting.nowMs += dayMs
  await collecting.settleDown()
  collecting.nowMs += minuteMs
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(127n)
  expect(await readContract(collecting)).toBe(0n)
})

test('a step that reverts in its block is not repeated at once, and its gas counts', async () => {
  const collecting = await startCollecting(chain)
  await collecting.earn()
  // Paused between the trial and the block.
  await inOneBlock(collecting, token, pauseCall)
  await chain.setPaused(false)
  expect(collecting.news.filter(({ kind }) => kind === 'ended')).toMatchObject([
    { step: 'settle', result: 'reverted', movedAtomic: 0n },
  ])
  expect(collecting.collector.status()).toMatchObject({ state: 'refused', gasToday: 150_000n })
  collecting.nowMs += minuteMs - 1000
  await collecting.settleDown()
  expect(await listSteps(collecting)).toEqual(['settle'])
  collecting.nowMs += 1000
  await collecting.settleDown()
  expect(await listSteps(collecting)).toEqual(['settle', 'settle', 'forward'])
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
})

test('where a stranger is faster, nothing is lost and the gas of ours is not spent again at once', async () => {
  const collecting = await startCollecting(chain)
  await chain.mint(collecting.payTo, 1000n)
  await inOneBlock(collecting, collecting.payTo, forwardCall)
  expect(await chain.tokensOf(collecting.owner)).toBe(1000n)
  expect(collecting.news.filter(({ kind }) => kind === 'ended')).toMatchObject([
    { step: 'forward', result: 'moved-nothing', movedAtomic: 0n },
  ])
  // There is nothing that could be refused any more.
  expect(stateOf(collecting)).toBe('waiting')
  await chain.mint(collecting.payTo, 5n)
  collecting.nowMs += minuteMs
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(1005n)
})

test('a token that keeps a part of each transfer brings the rest', async () => {
  const collecting = await startCollecting(chain)
  await collecting.earn()
  await chain.setFee(1000n)
  await collecting.settleDown()
  // A tenth of 40, and of 36.
  expect(await chain.tokensOf(collecting.owner)).toBe(33n)
  expect(await listSteps(collecting)).toEqual(['settle', 'forward'])
})

test('no day takes more gas than configured, over restarts and clocks that go back', async () => {
  const collecting = await startCollecting(chain, { maxGasPerDay: 450_000n })
  collecting.nowMs = 20_000 * dayMs + hourMs
  await collecting.earn()
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
  expect(collecting.collector.status()).toMatchObject({ gasToday: 300_000n })
  await collecting.earn()
  collecting.nowMs += minuteMs
  await collecting.settleDown()
  expect(await listSteps(collecting)).toEqual(['settle', 'forward', 'settle'])
  expect(stateOf(collecting)).toBe('gas-budget')
  collecting.restart()
  for (const laterMs of [minuteMs, hourMs, -3 * dayMs]) {
    collecting.nowMs += laterMs
    collecting.restart()
    await collecting.settleDown()
    expect(stateOf(collecting)).toBe('gas-budget')
  }
  expect(await listSteps(collecting)).toHaveLength(3)
  collecting.nowMs += 4 * dayMs
  collecting.restart()
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(80n)
  expect(collecting.collector.status()).toMatchObject({ gasToday: 150_000n, state: 'waiting' })
})

test('waits while gas is dear, and while the settlement key has no more than its claims need', async () => {
  const collecting = await startCollecting(chain, { maxGasPriceWei: 1n })
  const address = privateKeyToAddress(collecting.scheme.settlementKey)
  const balance = await chain.client.getBalance({ address })
  await collecting.earn()
  await collecting.settleDown()
  expect(stateOf(collecting)).toBe('gas-price')
  collecting.restart({ maxGasPriceWei: 10n ** 12n })
  const price = await chain.client.getGasPrice()
  const needed = (150_000n + 6_160_000n) * (price * 4n + 1n)
  await chain.call('anvil_setBalance', address, `0x${(needed / 2n).toString(16)}`)
  await collecting.settleDown()
  expect(stateOf(collecting)).toBe('ether-low')
  expect(collecting.asked).toHaveLength(0)
  await chain.call('anvil_setBalance', address, `0x${balance.toString(16)}`)
  collecting.nowMs += minuteMs
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
})

test('what a reorganisation takes back is collected again, and nothing twice', async () => {
  const collecting = await startCollecting(chain)
  await collecting.earn()
  await chain.mine(3)
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
  // Settle and forward are gone, and with them their nonces.
  await chain.reorganise(2)
  expect(await chain.tokensOf(collecting.owner)).toBe(0n)
  expect(await readContract(collecting)).toBe(40n)
  for (let look = 0; look < 5; look++) {
    collecting.nowMs += minuteMs
    await collecting.settleDown()
  }
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
  expect(await listSteps(collecting)).toEqual(['settle', 'forward'])
  expect(await chain.tokensOf(collecting.payTo)).toBe(0n)
})

test('what was sent before it was switched off is ended, and nothing more is sent', async () => {
  const collecting = await startCollecting(chain)
  await collecting.earn()
  await collecting.collector.step()
  expect(isUnderWay(collecting)).toBe(true)
  collecting.restart('off')
  const faults: unknown[] = []
  // It has nothing to wait for after that, and ends by itself.
  await collecting.collector.run(new AbortController().signal, (error) => faults.push(error))
  expect(faults).toEqual([])
  expect(isUnderWay(collecting)).toBe(false)
  expect(await chain.tokensOf(collecting.payTo)).toBe(40n)
  expect(await listSteps(collecting)).toEqual(['settle'])
  expect(collecting.collector.status()).toBeUndefined()
})

test('is given up while another transaction waits for the key, and nothing of it is signed', async () => {
  const collecting = await startCollecting(chain)
  await collecting.earn()
  const { sender } = collecting.scheme.scheme.context
  const to = privateKeyToAddress(collecting.scheme.settlementKey)
  const order: string[] = []
  const urgent = (name: string): Promise<unknown> =>
    sender.send({
      to,
      data: '0x',
      gas: 21_000n,
      journal: () => {
        order.push(name)
      },
      forget: () => undefined,
    })
  // Ours comes between two that cannot wait.
  const first = urgent('claim')
  const asking = sender.send({
    to,
    data: '0x',
    gas: 21_000n,
    yields: true,
    journal: () => {
      order.push('collecting')
    },
    forget: () => undefined,
  })
  const second = urgent('refund')
  const ended = await Promise.allSettled([first, asking, second])
  expect(ended.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(ended[1]).toMatchObject({ reason: { name: 'SenderBusy' } })
  expect(order).toEqual(['claim', 'refund'])
  // The collector tries again by itself.
  const crowd = Array.from({ length: 4 }, (_, each) => urgent(`claim ${each}`))
  await Promise.all([collecting.collector.step(), ...crowd])
  await collecting.settleDown()
  expect(await chain.tokensOf(collecting.owner)).toBe(40n)
})

test('of an ordinary account nothing is forwarded, and no code but the payee is called', async () => {
  const account = '0x00000000000000000000000000000000000a11ce'
  const plain = await startCollecting(chain, {}, { payTo: account })
  await plain.earn()
  await plain.settleDown()
  expect(await chain.tokensOf(account)).toBe(40n)
  expect(await listSteps(plain)).toEqual(['settle'])
  expect(plain.collector.status()).toMatchObject({ inContractAtomic: 0n, heldAtomic: 0n })
  expect(plain.scheme.scheme.context.ledger.state.uncollected.size).toBe(0)
  // Any other code: here it would take every call.
  const other = '0x000000000000000000000000000000000000c0de'
  await chain.call('anvil_setCode', other, `0x${'5b'.repeat(1600)}00`)
  const foreign = await startCollecting(chain, {}, { payTo: other })
  await foreign.earn()
  await foreign.settleDown()
  expect(await chain.tokensOf(other)).toBe(40n)
  expect(await listSteps(foreign)).toEqual(['settle'])
})
