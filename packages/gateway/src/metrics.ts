/** Prometheus metrics, named in one place. Counters of money and tokens are floats: for watching, never for accounts. */
import { AggregatorRegistry, Counter, Gauge, Registry } from 'prom-client'
import type { CollectState, CollectStatus } from './payment/collect/collect-status.ts'
import { usageKinds } from '@countersign/protocol/receipt/usage-kinds'
import { createCallTallies, type ObservedCall, type Tally } from './telemetry/call-tallies.ts'

/** What is asked for at each rendering. */
export type PresentState = {
  readonly pendingCalls: number
  readonly requestBytes: number
  readonly unwrittenReceipts: number
  /** Charges that are not on chain yet. */
  readonly unsettled: {
    readonly payments: number
    readonly channels: number
    /** How often each chain node differed from the others, since the start. */
    readonly nodeDifferences?: ReadonlyMap<number, number>
    readonly looks?: Readonly<Record<string, number>>
    /** Absent where nothing is collected. */
    readonly collect?: CollectStatus
  }
  readonly upstreams: readonly {
    readonly name: string
    readonly running: number
    readonly waiting: number
  }[]
}

/** What the gateway counts. */
export type Metrics = {
  observeCall(call: ObservedCall): void
  observeRefusal(code: string): void
  observeReload(result: 'done' | 'refused'): void
  readonly observeSpans: (result: 'exported' | 'dropped', spans: number) => void
  /** Text of the Prometheus exposition format. */
  render(now: PresentState): Promise<string>
  /** The same as values, to be added to those of other processes. */
  snapshot(now: PresentState): Promise<readonly MetricSnapshot[]>
  readonly contentType: string
}

/** A metric of one process with its values. */
export type MetricSnapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>[number]

/** The text of all these processes together: everything is added up. */
export async function renderSum(
  processes: readonly (readonly MetricSnapshot[])[],
): Promise<string> {
  return await AggregatorRegistry.aggregate(processes.map((each) => [...each])).metrics()
}

/** What processes that are gone have counted, as one: their present state went with them. */
export async function sumCounters(
  processes: readonly (readonly MetricSnapshot[])[],
): Promise<readonly MetricSnapshot[]> {
  const counted = processes.map((each) => each.filter(({ type }) => String(type) !== 'gauge'))
  return await AggregatorRegistry.aggregate(counted).getMetricsAsJSON()
}

/** Metrics of one gateway. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const counters = createCounters(registers)
  const gauges = createGauges(registers)
  const tallies = createCallTallies(registers)
  const bringUpToDate = (now: PresentState): void => {
    countReadings(counters, now)
    countCollecting(counters, gauges, now)
    for (const tally of tallies.all()) countTally(counters, tally)
    setGauges(gauges, now)
  }

  return {
    observeCall: tallies.observe,
    observeRefusal(code) {
      counters.refusals.inc({ code })
    },
    observeReload(result) {
      counters.reloads.inc({ result })
    },
    observeSpans: (result, spans) => {
      counters.spans.inc({ result }, spans)
    },
    render: (now) => {
      bringUpToDate(now)
      return registry.metrics()
    },
    snapshot: (now) => {
      bringUpToDate(now)
      return registry.getMetricsAsJSON()
    },
    contentType: registry.contentType,
  }
}

/** They are counted where the nodes are asked. */
function countReadings({ nodeDifferences, looks }: Counters, { unsettled }: PresentState): void {
  nodeDifferences.reset()
  for (const [node, count] of unsettled.nodeDifferences ?? []) {
    nodeDifferences.inc({ node: `${node}` }, count)
  }
  looks.reset()
  for (const [result, count] of Object.entries(unsettled.looks ?? {})) looks.inc({ result }, count)
}

const collectStates: readonly CollectState[] = [
  'waiting',
  'under-way',
  'refused',
  'gas-budget',
  'gas-price',
  'ether-low',
]

/** Counted where it is done. */
function countCollecting(
  { collectSteps }: Counters,
  { uncollected, collectGas, collecting }: Gauges,
  { unsettled: { collect } }: PresentState,
): void {
  if (collect === undefined) return
  collectSteps.reset()
  for (const { step, result, count } of collect.counts) collectSteps.inc({ step, result }, count)
  uncollected.set({ place: 'contract' }, toFloat(collect.inContractAtomic))
  uncollected.set({ place: 'payee' }, toFloat(collect.heldAtomic))
  collectGas.set(toFloat(collect.gasToday))
  for (const state of collectStates) collecting.set({ state }, state === collect.state ? 1 : 0)
}

/** For watching only: above 2^53 it is not exact. */
function toFloat(amount: bigint): number {
  return +`${amount}`
}

/** Moves what was counted to the counters. */
function countTally(counters: Counters, tally: Tally): void {
  const { wire, model, upstream, state, served, meteringSource } = tally.labels
  const { calls, charged, usage } = tally
  counters.calls.inc({ wire, model, upstream, state }, calls)
  counters.served.inc({ model, match: served }, calls)
  if (meteringSource !== undefined) counters.metered.inc({ source: meteringSource }, calls)
  counters.charged.inc({ model }, charged)
  for (const kind of usageKinds) {
    const count = usage[kind] ?? 0
    if (count > 0) counters.usage.inc({ model, kind }, count)
    usage[kind] = 0
  }
  tally.calls = 0
  tally.charged = 0
}

function setGauges(gauges: Gauges, now: PresentState): void {
  gauges.pending.set(now.pendingCalls)
  gauges.requestBytes.set(now.requestBytes)
  gauges.unwritten.set(now.unwrittenReceipts)
  gauges.unsettled.set(now.unsettled.payments)
  gauges.unclaimed.set(now.unsettled.channels)
  gauges.memory.set(process.memoryUsage.rss())
  // Upstreams of an old configuration are no more.
  gauges.upstreamCalls.reset()
  for (const { name, running, waiting } of now.upstreams) {
    gauges.upstreamCalls.set({ upstream: name, state: 'running' }, running)
    gauges.upstreamCalls.set({ upstream: name, state: 'waiting' }, waiting)
  }
}

type Counters = Readonly<
  Record<
    | 'calls'
    | 'refusals'
    | 'served'
    | 'metered'
    | 'charged'
    | 'usage'
    | 'reloads'
    | 'spans'
    | 'nodeDifferences'
    | 'looks'
    | 'collectSteps',
    Counter
  >
>

function createCounters(registers: Registry[]): Counters {
  const counter = (name: string, help: string, labelNames: readonly string[]): Counter =>
    new Counter({ name, help, labelNames: [...labelNames], registers })
  return {
    calls: counter(
      'countersign_calls_total',
      'Calls that were sent to an upstream, by how they ended.',
      ['wire', 'model', 'upstream', 'state'],
    ),
    refusals: counter('countersign_refusals_total', 'Calls that the gateway refused, by code.', [
      'code',
    ]),
    served: counter(
      'countersign_served_models_total',
      'Calls by how the model that the provider named stands to the one asked for.',
      ['model', 'match'],
    ),
    metered: counter(
      'countersign_metered_calls_total',
      'Calls priced by use, by how their use is known.',
      ['source'],
    ),
    charged: counter('countersign_charged_atomic_total', 'Charges in atomic units of the asset.', [
      'model',
    ]),
    usage: counter(
      'countersign_usage_total',
      'Tokens, seconds and uses that providers reported, by kind.',
      ['model', 'kind'],
    ),
    reloads: counter(
      'countersign_reloads_total',
      'Times that the configuration was read again, by what came of it.',
      ['result'],
    ),
    nodeDifferences: counter(
      'countersign_chain_node_differences_total',
      'Answers of a chain node that were not those of enough others, by its place in the configuration.',
      ['node'],
    ),
    looks: counter(
      'countersign_payment_lookups_total',
      'Payments for which the chain was to be asked: permitted, of those proven to have money behind them, and refused.',
      ['result'],
    ),
    collectSteps: counter(
      'countersign_collect_steps_total',
      'Steps that bring what was paid to the operator, by what came of them.',
      ['step', 'result'],
    ),
    spans: counter('countersign_spans_total', 'Spans of traces, by what became of them.', [
      'result',
    ]),
  }
}

type Gauges = Readonly<
  Record<
    | 'pending'
    | 'requestBytes'
    | 'unwritten'
    | 'unsettled'
    | 'unclaimed'
    | 'uncollected'
    | 'collectGas'
    | 'collecting'
    | 'memory'
    | 'upstreamCalls',
    Gauge
  >
>

function createGauges(registers: Registry[]): Gauges {
  const gauge = (name: string, help: string, labelNames: readonly string[] = []): Gauge =>
    new Gauge({ name, help, labelNames: [...labelNames], registers })
  return {
    pending: gauge('countersign_calls_pending', 'Calls that have no statement yet.'),
    requestBytes: gauge('countersign_request_held_bytes', 'Request bodies of the calls under way.'),
    unwritten: gauge(
      'countersign_receipts_unwritten',
      'Receipts that are not on disk yet: more than a few hundred means that the disk fails.',
    ),
    unsettled: gauge(
      'countersign_unsettled_payments',
      'Payments by upto whose charge is not settled yet.',
    ),
    unclaimed: gauge(
      'countersign_unclaimed_channels',
      'Channels that are charged more than was claimed.',
    ),
    uncollected: gauge(
      'countersign_uncollected_atomic',
      'What was paid and has not reached the operator, in atomic units of the asset, by where it lies.',
      ['place'],
    ),
    collectGas: gauge(
      'countersign_collect_gas_today',
      'Units of gas that collecting may have taken on this day (UTC).',
    ),
    collecting: gauge(
      'countersign_collecting',
      'What collecting does, or what holds it up: 1 for the one that is so.',
      ['state'],
    ),
    memory: gauge('countersign_resident_memory_bytes', 'Resident memory of the process.'),
    upstreamCalls: gauge(
      'countersign_upstream_calls',
      'Calls at an upstream, and calls that wait for a connection to it.',
      ['upstream', 'state'],
    ),
  }
}
