/** The benchmark of the gateway: every target goes through the same runs, one after the other. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { measureTarget, type Plan, type TargetReport } from './measure-target.ts'
import { describeRun, saveReport } from '../run-record.ts'
import { nodeCommand, startPinned } from './pinned-process.ts'
import { formatTable, type BenchReport } from './report.ts'
import { startTarget, targetNames, type TargetName } from './targets.ts'

const fullPlan: Plan = {
  isQuick: false,
  latencyMs: 2000,
  warmUpMs: 3000,
  warmUpRequests: 30_000,
  windowMs: 1200,
  windows: 6,
  pacedMs: 2500,
  pacedStreams: [100, 400],
}
const quickPlan: Plan = {
  isQuick: true,
  latencyMs: 600,
  warmUpMs: 900,
  warmUpRequests: 0,
  windowMs: 300,
  windows: 3,
  pacedMs: 700,
  pacedStreams: [],
}
const mockUpstream = new URL('./mock-upstream.ts', import.meta.url)

/**
 * Runs the benchmark and prints it. A full run is also saved under bench/results/.
 *
 * @throws Error when a target answered wrongly or did too little: then there is no result.
 */
export async function benchGateway(options: {
  readonly json: boolean
  readonly quick: boolean
  readonly only: readonly string[]
}): Promise<void> {
  const plan = options.quick ? quickPlan : fullPlan
  const names = selectTargets(options.only)
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  const about = describeRun(plan.isQuick)
  const targets: TargetReport[] = []
  const absent: TargetName[] = []
  const upstream = await startPinned(0, nodeCommand(mockUpstream, []))
  try {
    for (const name of names) {
      if (!options.json) process.stderr.write(`${name} …\n`)
      const report = await measure(name, Number(upstream.hello['port']), folder, plan)
      if (report === undefined) absent.push(name)
      else targets.push(report)
    }
  } finally {
    await upstream.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  const report: BenchReport = { benchmark: 'gateway', ...about, absent, targets }
  process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : formatTable(report))
  if (!plan.isQuick && names === targetNames) process.stderr.write(`saved ${saveReport(report)}\n`)
}

function selectTargets(only: readonly string[]): readonly TargetName[] {
  if (only.length === 0) return targetNames
  const unknown = only.find((name) => !targetNames.some((known) => known === name))
  if (unknown !== undefined) throw new Error(`${unknown} is none of ${targetNames.join(', ')}`)
  return targetNames.filter((name) => only.includes(name))
}

async function measure(
  name: TargetName,
  upstreamPort: number,
  folder: string,
  plan: Plan,
): Promise<TargetReport | undefined> {
  const target = await startTarget(name, upstreamPort, folder)
  if (target === undefined) return undefined
  try {
    return await measureTarget(target, plan)
  } finally {
    await target.stop()
  }
}
