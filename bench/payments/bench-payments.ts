/** What payment costs: the same calls unpaid and paid in every way, through this gateway and through the stock x402 server. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMeteredNetwork } from '../../packages/gateway/test/payment/metered-network.ts'
import { canPin, nodeCommand, startPinned } from '../gateway/pinned-process.ts'
import { describeRun, saveReport } from '../run-record.ts'
import { measureGateway, measureUnpaidGateway } from './measure-gateway.ts'
import type { BenchRun, CaseReport, PaymentPlan } from './measure-case.ts'
import { measureSteps, type StepReport } from './measure-steps.ts'
import { measureStock } from './measure-stock.ts'
import { formatPayments, readGasPerCall, type PaymentReport } from './payment-report.ts'

const fullPlan: PaymentPlan = {
  channels: 1000,
  connections: 32,
  latencyMs: 2500,
  ratePerSecond: 2000,
  warmUpMs: 3000,
  windowMs: 1200,
  windows: 6,
  settledCalls: 200,
  settledWarmUp: 40,
  payers: 8,
}
const quickPlan: PaymentPlan = {
  channels: 16,
  connections: 8,
  latencyMs: 300,
  ratePerSecond: 300,
  warmUpMs: 400,
  windowMs: 250,
  windows: 2,
  settledCalls: 12,
  settledWarmUp: 4,
  payers: 2,
}
/** What each payer of the chain holds: more than all runs cost. */
const balanceAtomic = 1_000_000_000_000n
const mockUpstream = new URL('../gateway/mock-upstream.ts', import.meta.url)

/**
 * Runs the benchmark and prints it. A full run of all servers is also saved under bench/results/. `only` names ways to
 * pay, and `stock`; `profile` is a folder for profiles of the gateway: neither kind of run is saved.
 *
 * @throws Error when any call was answered wrongly, or receipts, charges and the chain do not agree: then there is no result.
 */
export async function benchPayments(options: {
  readonly json: boolean
  readonly quick: boolean
  readonly only: readonly string[]
  readonly profile?: string
}): Promise<void> {
  const plan = options.quick ? quickPlan : fullPlan
  const about = describeRun(options.quick)
  // The chain, the provider and the generator share the core that the measured server does not have.
  if (canPin()) execFileSync('taskset', ['-acp', '0', String(process.pid)], { stdio: 'pipe' })
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  const upstream = await startPinned(0, nodeCommand(mockUpstream, []))
  const network = await startMeteredNetwork(balanceAtomic)
  const run = {
    plan,
    network,
    folder,
    upstreamPort: Number(upstream.hello['port']),
    wants: (name: string) => options.only.length === 0 || options.only.includes(name),
    profileFolder: options.profile,
    say: (text: string) => {
      if (!options.json) process.stderr.write(`${text} …\n`)
    },
  }
  let measured: Measured
  try {
    measured = await measureAll(run, options.only)
  } finally {
    await network.chain.stop()
    await upstream.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  const report: PaymentReport = {
    benchmark: 'payments',
    ...about,
    channels: plan.channels,
    ratePerSecond: plan.ratePerSecond,
    gas: readGasPerCall(),
    steps: measured.steps,
    cases: measured.cases,
  }
  process.stdout.write(
    options.json ? `${JSON.stringify(report, null, 2)}\n` : formatPayments(report),
  )
  const isWhole = options.only.length === 0 && options.profile === undefined
  if (!options.quick && isWhole) process.stderr.write(`saved ${saveReport(report)}\n`)
}

type Measured = {
  readonly cases: readonly CaseReport[]
  readonly steps: StepReport | null
}

async function measureAll(run: BenchRun, only: readonly string[]): Promise<Measured> {
  const steps = run.wants('steps') ? await measureSteps(run) : null
  const unpaid = await measureUnpaidGateway(run)
  if (only.length > 0 && only.every((name) => name === 'steps' || name === 'none')) {
    return { cases: unpaid, steps }
  }
  const paid = await measureGateway(run)
  const stock = run.wants('stock') ? await measureStock(run, paid.meteredAtomic) : []
  return { cases: [...unpaid, ...paid.cases, ...stock], steps }
}
