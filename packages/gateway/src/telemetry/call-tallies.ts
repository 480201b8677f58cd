/** Counts ended calls by their labels: the counters of the library are told of many at once. */
import type { Registry } from 'prom-client'
import { usageKinds, type UsageKind } from '@countersign/protocol/receipt/usage-kinds'
import type { UsageCounts } from '../metering/usage.ts'
import type { ObservedCall } from '../metrics.ts'
import { TalliedHistogram, type DurationTally } from './tallied-histogram.ts'

/** Owner of the tallies. */
export type CallTallies = {
  readonly observe: (call: ObservedCall) => void
  /** All tallies; who moves what is in them to counters sets them to zero. */
  readonly all: () => Iterable<Tally>
}

const durations = [0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 60, 300, 900]

/** No calls. Their durations go to histograms in these registries. */
export function createCallTallies(registers: Registry[]): CallTallies {
  const duration = new TalliedHistogram({
    name: 'countersign_call_duration_seconds',
    help: 'From the first byte of a request to its statement.',
    labelNames: ['wire'],
    buckets: durations,
    registers,
  })
  const firstByte = new TalliedHistogram({
    name: 'countersign_upstream_first_byte_seconds',
    help: 'From sending to the head of the answer of an upstream.',
    labelNames: ['upstream'],
    buckets: durations,
    registers,
  })
  // Owned here: calls by their labels, since the last rendering.
  const tallies = new Map<string, Tally>()
  // Owned here: the tally of the last call, which is mostly that of the next one.
  let latest: Tally | undefined

  function findTally(labels: TallyLabels): Tally {
    if (latest !== undefined && isFor(latest, labels)) return latest
    const key = keyOf(labels)
    latest = tallies.get(key) ?? openTally(key, labels)
    return latest
  }

  function openTally(key: string, labels: TallyLabels): Tally {
    const { wire, model, upstream, state, served, meteringSource } = labels
    const tally = {
      labels: { wire, model, upstream, state, served, meteringSource },
      calls: 0,
      charged: 0,
      usage: {},
      duration: duration.tally({ wire }),
      firstByte: firstByte.tally({ upstream }),
    }
    tallies.set(key, tally)
    return tally
  }

  return {
    observe(call) {
      const tally = findTally(call)
      tally.calls++
      if (call.chargedAtomic > 0n) tally.charged += Number(call.chargedAtomic)
      addUsage(tally.usage, call.counts)
      tally.duration.observe(call.durationMs)
      if (call.firstByteMs !== undefined) tally.firstByte.observe(call.firstByteMs)
    },
    all: () => tallies.values(),
  }
}

type TallyLabels = Pick<
  ObservedCall,
  'wire' | 'model' | 'upstream' | 'state' | 'served' | 'meteringSource'
>

/**
 * Calls that have all labels in common. The counters of the library check and sort the labels at each increment: 4 µs a
 * call, so they are told of many calls at once, when somebody asks.
 */
export type Tally = {
  readonly labels: TallyLabels
  calls: number
  charged: number
  readonly usage: Partial<Record<UsageKind, number>>
  readonly duration: DurationTally
  readonly firstByte: DurationTally
}

function isFor({ labels }: Tally, call: TallyLabels): boolean {
  return (
    labels.model === call.model &&
    labels.state === call.state &&
    labels.wire === call.wire &&
    labels.upstream === call.upstream &&
    labels.served === call.served &&
    labels.meteringSource === call.meteringSource
  )
}

/** No label has a line feed in it. */
function keyOf({ wire, model, upstream, state, served, meteringSource }: TallyLabels): string {
  return `${wire}\n${model}\n${upstream}\n${state}\n${served}\n${meteringSource ?? ''}`
}

function addUsage(usage: Tally['usage'], counts: UsageCounts): void {
  for (const kind of usageKinds) {
    const count = counts[kind]
    if (count !== undefined && count > 0) usage[kind] = (usage[kind] ?? 0) + count
  }
}
