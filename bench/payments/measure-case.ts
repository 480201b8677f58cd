/** The runs of one way to pay at one server. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Percentiles } from '../gateway/load-job.ts'
import { nodeCommand, spawnPinned } from '../gateway/pinned-process.ts'
import type { Shape } from '../gateway/wire.ts'
import type { MeteredNetwork } from '../../packages/gateway/test/payment/metered-network.ts'
import type { JobPayment, PaymentJob, PaymentResult } from './payment-job.ts'

/** How long and how often: everything is bounded. */
export type PaymentPlan = {
  readonly channels: number
  readonly connections: number
  readonly latencyMs: number
  readonly ratePerSecond: number
  readonly warmUpMs: number
  readonly windowMs: number
  readonly windows: number
  /** Calls of a way to pay that puts each payment into the chain. */
  readonly settledCalls: number
  readonly settledWarmUp: number
  /** Who make those calls. */
  readonly payers: number
}

/** What all cases of one run share. */
export type BenchRun = {
  readonly plan: PaymentPlan
  readonly network: MeteredNetwork
  readonly folder: string
  readonly upstreamPort: number
  /** Whether this way to pay is measured. */
  readonly wants: (payment: PaymentCase['payment'] | 'steps' | 'stock') => boolean
  /** Where profiles of the gateway are written. */
  readonly profileFolder: string | undefined
  readonly say: (text: string) => void
}

/** What is called, and how it is paid. */
export type PaymentCase = {
  readonly server: 'gateway' | 'stock'
  readonly payment: 'none' | 'unpaid' | 'api-key' | 'batch-settlement' | 'upto' | 'exact'
  readonly shape: Exclude<Shape, 'paced'>
  readonly port: number
  readonly path: string
  readonly modelName: string
  readonly pids: readonly number[]
  readonly hasReceipts: boolean
}

/** Microseconds of CPU time of the server, per call. */
export type CpuPerCall = { readonly minUs: number; readonly medianUs: number }

/** What the report says of one case. */
export type CaseReport = Pick<PaymentCase, 'server' | 'payment' | 'shape'> & {
  readonly calls: number
  readonly receipts: number
  readonly chargedAtomic: number
  readonly cpu: CpuPerCall
  readonly callsPerSecond: number
  /** Calls a second that were answered at the rate of the plan; null where it was not tried. */
  readonly answeredAtRate: number | null
  /** One call at a time; null where each call waits for the chain. */
  readonly at1: { readonly latency: Percentiles; readonly firstByte: Percentiles } | null
  /** At the rate of the plan, from when each call was due; null where it was not tried. */
  readonly atRate: Percentiles | null
}

/** No gateway answers more. */
const mostPerSecond = 5000
/** Signing them takes some seconds. */
const maxSigned = 40_000
const generator = new URL('./payment-generator.ts', import.meta.url)

/** Measures a way to pay that the server judges alone. `payment` is asked anew for each run: channels go on. */
export async function measureTimed(
  run: BenchRun,
  each: PaymentCase,
  payment: JobPayment,
  options: { readonly hasRate: boolean } = { hasRate: false },
): Promise<{ readonly report: CaseReport; readonly payment: JobPayment }> {
  const { plan, say } = run
  say(`${each.server} ${each.payment} ${each.shape}`)
  const total = { calls: 0, receipts: 0, chargedAtomic: 0 }
  let state = payment
  const go = async (job: Partial<PaymentJob>): Promise<PaymentResult> => {
    const result = await generate(run, each, presign(plan, state, job), job)
    total.calls += result.calls
    total.receipts += result.receipts
    total.chargedAtomic += result.chargedAtomic
    if (state.kind === 'voucher') {
      const channels = state.channels.map((channel, index) => ({
        ...channel,
        chargedAtomic: result.channels[index] ?? channel.chargedAtomic,
      }))
      state = { ...state, channels }
    }
    return result
  }
  const warmUpCalls = payment.kind === 'voucher' ? 2 * plan.channels : 0
  const load = await go({ warmUpCalls })
  const at1 = await go({
    connections: 1,
    warmUpMs: plan.latencyMs / 5,
    windowMs: plan.latencyMs,
    windows: 1,
  })
  const atRate = options.hasRate
    ? await go({
        ratePerSecond: plan.ratePerSecond,
        connections: Math.min(4 * plan.connections, plan.channels),
        warmUpMs: plan.latencyMs / 2,
        windowMs: plan.latencyMs,
        windows: 1,
      })
    : undefined
  const report: CaseReport = {
    ...describe(each),
    ...total,
    cpu: toCpu(load),
    callsPerSecond: toRate(load),
    answeredAtRate: atRate === undefined ? null : toRate(atRate),
    at1: { latency: at1.latency, firstByte: at1.firstByte },
    atRate: atRate?.latency ?? null,
  }
  return { report, payment: state }
}

/**
 * Measures a way to pay that puts each payment into the chain: CPU time until the last one is there.
 *
 * `sign` makes so many payments; `settled` resolves when the chain has all that was charged.
 */
export async function measureSettled(
  run: BenchRun,
  each: PaymentCase,
  amountAtomic: number,
  chain: {
    readonly sign: (count: number) => Promise<readonly string[]>
    readonly readCpuUs: () => number
    readonly settled: (calls: number) => Promise<void>
  },
): Promise<CaseReport> {
  const { plan, say } = run
  say(`${each.server} ${each.payment} ${each.shape}`)
  const total = { calls: 0, receipts: 0, chargedAtomic: 0 }
  const perCall: number[] = []
  let callsPerSecond = 0
  for (const count of [plan.settledWarmUp, plan.settledCalls]) {
    const payments = await chain.sign(count)
    const cpuBefore = chain.readCpuUs()
    const result = await generate(run, each, { kind: 'each', payments, amountAtomic }, {})
    if (result.calls !== count) throw new Error(`${result.calls} calls for ${count} payments`)
    total.calls += result.calls
    total.receipts += result.receipts
    total.chargedAtomic += result.chargedAtomic
    await chain.settled(total.calls)
    perCall.push((chain.readCpuUs() - cpuBefore) / count)
    callsPerSecond = toRate(result)
  }
  // The first ones compile: they say nothing about those after them.
  const cpuUs = perCall.at(-1) ?? Number.NaN
  const cpu = { minUs: cpuUs, medianUs: cpuUs }
  return {
    ...describe(each),
    ...total,
    cpu,
    callsPerSecond,
    answeredAtRate: null,
    at1: null,
    atRate: null,
  }
}

/** Vouchers for all calls of this run, so that they are not signed while its figures are taken. */
function presign(
  plan: PaymentPlan,
  payment: JobPayment,
  { warmUpMs, windowMs, windows }: Partial<PaymentJob>,
): JobPayment {
  if (payment.kind !== 'voucher') return payment
  const runMs =
    (warmUpMs ?? plan.warmUpMs) + (windowMs ?? plan.windowMs) * (windows ?? plan.windows)
  return { ...payment, signedBefore: Math.min(maxSigned, (runMs * mostPerSecond) / 1000) }
}

/** Runs the generator. @throws Error when an answer or a payment was wrong, or there were too few. */
async function generate(
  { plan, folder }: BenchRun,
  each: PaymentCase,
  payment: JobPayment,
  changes: Partial<PaymentJob>,
): Promise<PaymentResult> {
  const job: PaymentJob = {
    port: each.port,
    path: each.path,
    shape: each.shape,
    modelName: each.modelName,
    payment,
    connections: plan.connections,
    ratePerSecond: null,
    warmUpMs: plan.warmUpMs,
    warmUpCalls: 0,
    windowMs: plan.windowMs,
    windows: plan.windows,
    pids: each.pids,
    hasReceipts: each.hasReceipts,
    ...changes,
  }
  const file = join(folder, 'job.json')
  writeFileSync(file, JSON.stringify(job))
  const child = spawnPinned(0, nodeCommand(generator, [file]))
  if (child.stdout === null) throw new Error('the generator does not start')
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')])
  const where = `${each.server} ${each.payment} ${each.shape}`
  if (output === '') throw new Error(`${where}: the generator failed`)
  const result: PaymentResult = JSON.parse(output)
  if (result.faults > 0) throw new Error(`${where}: ${result.faults} faults, ${result.firstFault}`)
  if (result.receipts !== (each.hasReceipts ? result.calls : 0)) {
    throw new Error(`${where}: ${result.receipts} receipts for ${result.calls} calls`)
  }
  return result
}

function describe({
  server,
  payment,
  shape,
}: PaymentCase): Pick<PaymentCase, 'server' | 'payment' | 'shape'> {
  return { server, payment, shape }
}

function toCpu({ windows }: PaymentResult): CpuPerCall {
  const perCall = windows.map(({ cpuUs, requests }) => cpuUs / requests).toSorted((a, b) => a - b)
  return {
    minUs: perCall[0] ?? Number.NaN,
    medianUs: perCall[Math.floor(perCall.length / 2)] ?? Number.NaN,
  }
}

function toRate({ windows }: PaymentResult): number {
  return Math.max(...windows.map(({ requests, elapsedMs }) => (requests * 1000) / elapsedMs))
}
