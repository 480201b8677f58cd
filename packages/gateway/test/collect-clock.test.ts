/** Clocks that were ahead hold up no collecting (spec/payment.md PA31). */
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  listSteps,
  startCollecting,
  startMoodyChain,
  type MoodyChain,
} from './payment/collect-fixture.ts'

let chain: MoodyChain
beforeAll(async () => {
  chain = await startMoodyChain()
})
afterAll(() => chain.stop())

const hourMs = 3_600_000
const dayMs = 24 * hourMs

test('a clock that goes back delays nothing: neither the next look, nor a step, nor what is late', async () => {
  const collecting = await startCollecting(chain, { minIntervalMs: hourMs, maxWaitMs: hourMs })
  const rightMs = collecting.nowMs
  collecting.nowMs += 30 * dayMs
  await collecting.earn()
  await collecting.settleDown()
  expect(await listSteps(collecting)).toEqual(['settle', 'forward'])
  await collecting.earn()
  collecting.nowMs += 2000
  await collecting.collector.step()
  collecting.nowMs = rightMs
  await collecting.collector.step()
  collecting.nowMs += hourMs
  await collecting.settleDown()
  expect(await listSteps(collecting)).toEqual(['settle', 'forward', 'settle', 'forward'])
})

test('what lies there since a time that has not come is late in time', async () => {
  const collecting = await startCollecting(chain, { minAtomic: 1000n, maxWaitMs: hourMs })
  const rightMs = collecting.nowMs
  collecting.nowMs += 30 * dayMs
  await collecting.earn()
  await collecting.settleDown()
  collecting.nowMs = rightMs
  collecting.restart()
  await collecting.settleDown()
  collecting.nowMs += hourMs
  await collecting.settleDown()
  expect(await listSteps(collecting)).toEqual(['settle', 'forward'])
})
