/** The result of a run as a table. */
import { alignColumns, formatRecord, type RunRecord } from '../run-record.ts'
import type { TargetReport } from './measure-target.ts'
import type { TargetName } from './targets.ts'

/** Everything that a run says. */
export type BenchReport = RunRecord & {
  readonly benchmark: 'gateway'
  /** Targets that are not installed here. */
  readonly absent: readonly TargetName[]
  readonly targets: readonly TargetReport[]
}

const titles = [
  ['target', ''],
  ['CPU', 'µs min'],
  ['', 'median'],
  ['ratio', 'to relay'],
  ['req/s', ''],
  ['p50 added', '1 conn µs'],
  ['p99 added', '1 conn µs'],
  ['p50', '32 µs'],
  ['p99', '32 µs'],
  ['stream', 'CPU µs'],
  ['lag 100', 'p50/p99 µs'],
  ['lag 400', 'p50/p99 µs'],
  ['RSS', 'MB'],
] as const

/** A table with one line for each target. */
export function formatTable(report: BenchReport): string {
  const { targets } = report
  const find = (name: TargetName): TargetReport | undefined =>
    targets.find((target) => target.name === name)
  const direct = find('direct')
  const floorUs = find('plain-relay')?.json.cpu?.minUs
  const rows = [
    titles.map(([first]) => first),
    titles.map(([, second]) => second),
    ...targets.map((target) => toRow(target, direct, floorUs)),
  ]
  const absent = report.absent.length === 0 ? '' : `Not installed: ${report.absent.join(', ')}.\n`
  return `${alignColumns(rows)}\n${absent}${formatRecord(report)}\n`
}

function toRow(
  { name, json, burst, paced, residentBytes }: TargetReport,
  direct: TargetReport | undefined,
  floorUs: number | undefined,
): string[] {
  const isDirect = name === 'direct'
  const added = (percentile: 'p50Us' | 'p99Us'): string => {
    const own = json.at1[percentile]
    return isDirect ? `(${own.toFixed(0)})` : (own - (direct?.json.at1[percentile] ?? 0)).toFixed(0)
  }
  const lag = (streams: number): string => {
    const found = paced.find((run) => run.streams === streams)
    return found === undefined ? '–' : `${found.lagP50Us.toFixed(0)}/${found.lagP99Us.toFixed(0)}`
  }
  const ratio = json.cpu === null || floorUs === undefined ? undefined : json.cpu.minUs / floorUs
  return [
    name,
    json.cpu?.minUs.toFixed(1) ?? '–',
    json.cpu?.medianUs.toFixed(1) ?? '–',
    ratio?.toFixed(2) ?? '–',
    json.requestsPerSecond.toFixed(0),
    added('p50Us'),
    added('p99Us'),
    json.at32.p50Us.toFixed(0),
    json.at32.p99Us.toFixed(0),
    burst?.cpu?.minUs.toFixed(0) ?? '–',
    lag(100),
    lag(400),
    residentBytes === null ? '–' : (residentBytes / 1_048_576).toFixed(0),
  ]
}
