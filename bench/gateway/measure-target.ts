/** The runs that one target goes through. */
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { defaultPolicy, verify } from '@countersign/protocol'
import { readResidentBytes } from './cpu-time.ts'
import type { LoadJob, LoadResult } from './load-job.ts'
import { nodeCommand, spawnPinned } from './pinned-process.ts'
import type { Target, TargetName } from './targets.ts'

/** How long and how often: everything is bounded. */
export type Plan = {
  readonly isQuick: boolean
  readonly latencyMs: number
  readonly warmUpMs: number
  readonly warmUpRequests: number
  readonly windowMs: number
  readonly windows: number
  readonly pacedMs: number
  readonly pacedStreams: readonly number[]
}

/** CPU time per request or stream, microseconds; null where there is no process to measure. */
export type Cpu = { readonly minUs: number; readonly medianUs: number } | null

/** What the report says of one target. */
export type TargetReport = {
  readonly name: TargetName
  readonly json: {
    readonly cpu: Cpu
    readonly requestsPerSecond: number
    readonly requests: number
    readonly receipts: number
    readonly at1: { readonly p50Us: number; readonly p99Us: number }
    readonly at32: { readonly p50Us: number; readonly p99Us: number }
  }
  /** Streams whose events come all at once; null where none passes. */
  readonly burst: { readonly cpu: Cpu; readonly streams: number } | null
  /** Streams of 100 events, one each 10 ms. `coreShare`: part of one core that the target used. */
  readonly paced: readonly {
    readonly streams: number
    readonly completed: number
    readonly events: number
    readonly lagP50Us: number
    readonly lagP99Us: number
    readonly cpu: Cpu
    readonly coreShare: number | null
  }[]
  readonly residentBytes: number | null
  /** Verdict over the last receipt of the JSON runs. */
  readonly verdict: string | null
}

const generator = new URL('./generator.ts', import.meta.url)
const minRequests = 30

/** Measures one target. @throws Error when it did not do its work: a fault, too few requests, no valid receipt. */
export async function measureTarget(target: Target, plan: Plan): Promise<TargetReport> {
  const at1 = await runLoad(target, {
    shape: 'json',
    connections: 1,
    warmUpMs: plan.latencyMs / 2,
    windowMs: plan.latencyMs,
    windows: 1,
  })
  const at32 = await runLoad(target, {
    shape: 'json',
    connections: 32,
    warmUpMs: plan.warmUpMs,
    warmUpRequests: plan.warmUpRequests,
    windowMs: plan.windowMs,
    windows: plan.windows,
  })
  const verdict = await verifyLastReceipt(target, at32)
  const burst = target.hasStreams ? await measureBurst(target, plan) : null
  const paced = []
  for (const streams of target.hasStreams ? plan.pacedStreams : [])
    paced.push(await measurePaced(target, plan, streams))
  return {
    name: target.name,
    json: {
      cpu: cpuOf(target, at32),
      requestsPerSecond: Math.max(
        ...at32.windows.map(({ requests, elapsedMs }) => (requests * 1000) / elapsedMs),
      ),
      requests: at1.requests + at32.requests,
      receipts: at1.receipts + at32.receipts,
      at1: at1.latency,
      at32: at32.latency,
    },
    burst,
    paced,
    residentBytes: target.pids.length === 0 ? null : readResidentBytes(target.pids),
    verdict,
  }
}

async function measureBurst(target: Target, plan: Plan): Promise<TargetReport['burst']> {
  const run = await runLoad(target, {
    shape: 'burst',
    connections: 8,
    warmUpMs: plan.warmUpMs / 3,
    windowMs: plan.windowMs,
    windows: Math.min(3, plan.windows),
  })
  return { cpu: cpuOf(target, run), streams: run.requests }
}

async function measurePaced(
  target: Target,
  plan: Plan,
  streams: number,
): Promise<TargetReport['paced'][number]> {
  const run = await runLoad(target, {
    shape: 'paced',
    connections: streams,
    // One stream takes a second: after it, streams end as evenly as they began.
    warmUpMs: 1500,
    windowMs: plan.pacedMs,
    windows: 1,
  })
  const window = run.windows[0] ?? { cpuUs: 0, elapsedMs: 1 }
  return {
    streams,
    completed: run.requests,
    events: run.events,
    lagP50Us: run.lag.p50Us,
    lagP99Us: run.lag.p99Us,
    cpu: cpuOf(target, run),
    coreShare: target.pids.length === 0 ? null : window.cpuUs / (window.elapsedMs * 1000),
  }
}

type Run = Pick<LoadJob, 'shape' | 'connections' | 'warmUpMs' | 'windowMs' | 'windows'> &
  Partial<Pick<LoadJob, 'warmUpRequests'>>

async function runLoad(target: Target, run: Run): Promise<LoadResult> {
  const job: LoadJob = {
    warmUpRequests: 0,
    ...run,
    port: target.port,
    path: '/v1/chat/completions',
    headers: target.headers,
    spreadMs: run.shape === 'paced' ? 1000 : 0,
    pids: target.pids,
    hasReceipts: target.hasReceipts,
  }
  const child = spawnPinned(0, nodeCommand(generator, [JSON.stringify(job)]))
  if (child.stdout === null) throw new Error('the generator does not start')
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')])
  const result: LoadResult = JSON.parse(output)
  const where = `${target.name}, ${run.shape}, ${run.connections} connections`
  if (result.faults > 0) throw new Error(`${where}: ${result.faults} faults, ${result.firstFault}`)
  // A target that cannot keep up shows it in its lag; but streams must end.
  const least = run.shape === 'json' ? minRequests : run.connections / 4
  if (result.requests < least) throw new Error(`${where}: only ${result.requests} requests`)
  if (result.receipts !== (target.hasReceipts ? result.requests : 0)) {
    throw new Error(`${where}: ${result.receipts} receipts for ${result.requests} requests`)
  }
  if (run.shape === 'paced' && result.events < run.connections * 25) {
    throw new Error(`${where}: only ${result.events} events`)
  }
  return result
}

function cpuOf(target: Target, { windows }: LoadResult): Cpu {
  if (target.pids.length === 0) return null
  const perRequest = windows
    .map(({ cpuUs, requests }) => cpuUs / requests)
    .toSorted((a, b) => a - b)
  return {
    minUs: perRequest[0] ?? Number.NaN,
    medianUs: perRequest[Math.floor(perRequest.length / 2)] ?? Number.NaN,
  }
}

async function verifyLastReceipt(
  { hasReceipts, name, port }: Target,
  { lastReceipt }: LoadResult,
): Promise<string | null> {
  if (!hasReceipts) return null
  if (lastReceipt === null) throw new Error(`${name}: no receipt to verify`)
  const { id, token } = lastReceipt
  const response = await fetch(`http://127.0.0.1:${port}/v1/receipts/${id}?wait=5`, {
    headers: { authorization: `Bearer ${token}` },
  })
  const bundle = new Uint8Array(await response.arrayBuffer())
  const verdict = await verify(bundle, defaultPolicy, Date.now())
  if (verdict.verdict !== 'valid') {
    throw new Error(`${name}: receipt ${id} is ${verdict.verdict}, status ${response.status}`)
  }
  return verdict.verdict
}
