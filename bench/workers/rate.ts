/** Latency at a rate that leaves the machine room: calls come when they are due, whatever is still under way. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Percentiles } from '../gateway/load-job.ts'
import { nodeCommand } from '../gateway/pinned-process.ts'
import { model } from '../gateway/wire.ts'
import type { JobPayment, PaymentJob, PaymentResult } from '../payments/payment-job.ts'
import { runMeasured } from './load.ts'

/** What is called, and how it is paid. */
export type PacedLoad = {
  readonly port: number
  readonly payment: JobPayment
  readonly hasReceipts: boolean
  readonly folder: string
}

/** From when each call was due to the end of its answer. */
export type PacedOutcome = {
  readonly answeredPerSecond: number
  readonly latency: Percentiles
}

/** Calls a second. */
export const pacedRate = 2000
/** More than are under way at once, or a slow moment would hold the next calls back. */
const connections = 128
const warmUpMs = 1500

const generator = new URL('../payments/payment-generator.ts', import.meta.url)
const path = '/v1/chat/completions'

/** Sends at the rate for so long. @throws Error when an answer or a charge was wrong. */
export async function sendPaced(
  { port, payment, hasReceipts, folder }: PacedLoad,
  seconds: number,
): Promise<PacedOutcome & { readonly result: PaymentResult }> {
  const { result } = await runGenerator(folder, {
    port,
    path,
    shape: 'json',
    modelName: model,
    payment,
    connections,
    ratePerSecond: pacedRate,
    warmUpMs,
    warmUpCalls: 0,
    windowMs: seconds * 1000,
    windows: 1,
    pids: [],
    hasReceipts,
  })
  const [{ requests, elapsedMs } = { requests: 0, elapsedMs: 1 }] = result.windows
  return { result, answeredPerSecond: (requests * 1000) / elapsedMs, latency: result.latency }
}

/** So many vouchers are signed before a paced run of so many seconds. */
export function pacedCalls(seconds: number): number {
  return (seconds + warmUpMs / 1000) * pacedRate
}

/** Runs the generator of paid calls. @throws Error when an answer or a charge was wrong. */
export async function runGenerator(
  folder: string,
  job: PaymentJob,
): Promise<{ readonly result: PaymentResult; readonly cpuUs: number }> {
  const file = join(folder, 'job.json')
  writeFileSync(file, JSON.stringify(job))
  const [node = '', ...nodeArguments] = nodeCommand(generator, [file])
  const { output, cpuUs } = await runMeasured(node, nodeArguments)
  const result: PaymentResult = JSON.parse(output)
  const { faults, firstFault } = result
  if (faults > 0) throw new Error(`${faults} faults: ${firstFault ?? 'a fault'}`)
  return { result, cpuUs }
}
