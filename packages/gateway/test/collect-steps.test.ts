/** What is chosen, and what is remembered of it (spec/payment.md PA31.2 to PA31.5). */
import { expect, onTestFinished, test } from 'vitest'
import { backOffMs, chooseStep, createPlaceMemory } from '../src/payment/collect/choose-step.ts'
import { openDurableLedger } from '../src/payment/ledger/durable-ledger.ts'
import { eagerPolicy, startCollecting, startMoodyChain } from './payment/collect-fixture.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

test('steps are chosen by what lies where, and wait for a refused owner', () => {
  const nowMs = 1000
  const policy = { ...eagerPolicy, minAtomic: 10n }
  const choose = (
    inContractAtomic: bigint,
    heldAtomic: bigint,
    change: (memory: ReturnType<typeof createPlaceMemory>) => void = () => undefined,
    canForward = true,
  ): string | undefined => {
    const memory = createPlaceMemory()
    change(memory)
    const place = { inContractAtomic, heldAtomic, canForward }
    return chooseStep(place, memory, policy, { sinceMs: 0, nowMs })
  }
  expect(choose(9n, 9n)).toBeUndefined()
  expect(choose(10n, 10n)).toBe('settle')
  expect(choose(9n, 10n)).toBe('forward')
  expect(choose(0n, 10n, undefined, false)).toBeUndefined()
  const refuse = (memory: ReturnType<typeof createPlaceMemory>): void => {
    Object.assign(memory.forward, { refusals: 1, nextAtMs: nowMs + 1 })
  }
  expect(choose(10n, 10n, refuse)).toBeUndefined()
  // What is held is too little to be refused: it was brought on by somebody else.
  expect(choose(10n, 9n, refuse)).toBe('settle')
  expect(choose(10n, 10n, ({ settle }) => Object.assign(settle, { nextAtMs: nowMs + 1 }))).toBe(
    'forward',
  )
  expect([1, 2, 3, 40].map((times) => backOffMs(0, times, false))).toEqual([
    1000,
    2000,
    4000,
    6 * hourMs,
  ])
  expect([1, 2].map((times) => backOffMs(0, times, true))).toEqual([minuteMs, 2 * minuteMs])
  // An interval above six hours stays what it is.
  expect([1, 2].map((times) => backOffMs(dayMs, times, true))).toEqual([dayMs, dayMs])
})

test('what is counted and what waits outlives the process, and no day before is opened again', async () => {
  const chain = await startMoodyChain()
  onTestFinished(() => chain.stop())
  const collecting = await startCollecting(chain, { maxWaitMs: hourMs })
  collecting.nowMs = 20_000 * dayMs + 5
  await collecting.earn()
  await collecting.collector.step()
  const { context } = collecting.scheme.scheme
  const signed = [...context.ledger.state.transactions.values()]
  expect(signed).toMatchObject([
    { purpose: { kind: 'collect', step: 'settle', payee: collecting.payTo, isLast: false } },
  ])
  await context.ledger.durable()
  await collecting.scheme.scheme.close()
  const { directory } = collecting.scheme.options
  // Of the second, all that it holds is a checkpoint of the first.
  for (const segmentBytes of [1 << 20, 100]) {
    const ledger = await openDurableLedger({
      directory,
      clock: Date.now,
      segmentBytes,
      onFault: (error) => {
        throw error
      },
    })
    onTestFinished(() => ledger.close())
    const { transactions, collectGas, uncollected } = ledger.state
    expect([...transactions.values()]).toEqual(signed)
    expect([...collectGas]).toEqual([[20_000, 150_000n]])
    expect([...uncollected]).toEqual([[collecting.payTo, 20_000 * dayMs + 5]])
    const yesterday = { type: 'collect-gas', day: 19_999, gasUnits: 0n } as const
    expect(ledger.apply(yesterday)).toEqual({ kind: 'refused', code: 'day-over' })
    // Enough to begin the next segment.
    for (let event = 0; event < 20; event++) {
      ledger.apply({ type: 'uncollected', payee: collecting.payTo, sinceMs: 20_000 * dayMs + 5 })
      await ledger.durable()
    }
    await ledger.close()
  }
})
