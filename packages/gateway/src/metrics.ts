/** Prometheus metrics, named in one place. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** What the gateway counts. Label values come from closed sets, never from callers. */
export type Metrics = {
  observeCall(state: string, durationMs: number): void
  observeRefusal(code: string): void
  /** Text of the Prometheus exposition format. */
  render(): Promise<string>
  readonly contentType: string
}

/** Metrics of one gateway, with what is asked for at each rendering. */
export function createMetrics(now: {
  readonly pendingCalls: () => number
  readonly requestBytes: () => number
  /** Charges that are not on chain yet. */
  readonly unsettled: () => { readonly payments: number; readonly channels: number }
}): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const calls = new Counter({
    name: 'countersign_calls_total',
    help: 'Calls that were sent to an upstream, by how they ended.',
    labelNames: ['state'],
    registers,
  })
  const refusals = new Counter({
    name: 'countersign_refusals_total',
    help: 'Calls that the gateway refused, by code.',
    labelNames: ['code'],
    registers,
  })
  const duration = new Histogram({
    name: 'countersign_call_duration_seconds',
    help: 'From the first byte of a request to its statement.',
    buckets: [0.005, 0.02, 0.1, 0.5, 1, 5, 20, 60, 300, 900],
    registers,
  })
  const pendingGauge = new Gauge({
    name: 'countersign_calls_pending',
    help: 'Calls under way.',
    registers,
    collect: () => {
      pendingGauge.set(now.pendingCalls())
    },
  })
  const requestGauge = new Gauge({
    name: 'countersign_request_held_bytes',
    help: 'Request bodies of the calls under way.',
    registers,
    collect: () => {
      requestGauge.set(now.requestBytes())
    },
  })
  const unsettledGauge = new Gauge({
    name: 'countersign_unsettled_payments',
    help: 'Payments by upto whose charge is not settled yet.',
    registers,
    collect: () => {
      unsettledGauge.set(now.unsettled().payments)
    },
  })
  const unclaimedGauge = new Gauge({
    name: 'countersign_unclaimed_channels',
    help: 'Channels that are charged more than was claimed.',
    registers,
    collect: () => {
      unclaimedGauge.set(now.unsettled().channels)
    },
  })
  const memory = new Gauge({
    name: 'countersign_resident_memory_bytes',
    help: 'Resident memory of the process.',
    registers,
    collect: () => {
      memory.set(process.memoryUsage.rss())
    },
  })
  return {
    observeCall(state, durationMs) {
      calls.inc({ state })
      duration.observe(durationMs / 1000)
    },
    observeRefusal(code) {
      refusals.inc({ code })
    },
    render: () => registry.metrics(),
    contentType: registry.contentType,
  }
}
