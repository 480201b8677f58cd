/** The histogram of durations against the library's own. */
import { AggregatorRegistry, Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { TalliedHistogram } from '../../src/telemetry/tallied-histogram.ts'

const config = { name: 'call_seconds', help: 'Calls.', buckets: [0.005, 0.02, 1] }
const durationsMs = [0, 4, 5, 6, 20, 21, 999, 1000, 1001, 7_200_000]

test('renders what the histogram of the library renders, for every bound and label', async () => {
  const [ours, theirs] = [new Registry(), new Registry()]
  const tallied = new TalliedHistogram({ ...config, registers: [ours] })
  const plain = new Histogram({ ...config, labelNames: ['wire'], registers: [theirs] })
  for (const wire of ['chat', 'a"b\\c', 'chat']) {
    for (const ms of durationsMs) {
      tallied.tally({ wire }).observe(ms)
      plain.labels({ wire }).observe(ms / 1000)
    }
  }
  const text = await ours.metrics()
  // The library adds up seconds, which are not exact.
  const theirText = await theirs.metrics()
  expect(text).toBe(theirText.replace('14406.112000000001', '14406.112'))
  expect(text).toContain('call_seconds_bucket{le="0.02",wire="chat"} 10')
  const sum = AggregatorRegistry.aggregate([
    await ours.getMetricsAsJSON(),
    await theirs.getMetricsAsJSON(),
  ])
  expect(await sum.metrics()).toContain('call_seconds_count{wire="chat"} 40')
})

test('takes a clock that went back for no time at all', async () => {
  const registry = new Registry()
  const tallied = new TalliedHistogram({ ...config, registers: [registry] })
  tallied.tally({ wire: 'chat' }).observe(-5)
  const text = await registry.metrics()
  expect(text).toContain('call_seconds_bucket{le="0.005",wire="chat"} 1')
  expect(text).toContain('call_seconds_sum{wire="chat"} 0')
})
